"""A program of its own: reads blocks of columns from stdin and writes them as a Parquet file to stdout.

`python -m training.jobs.parquet_writer`, started by `training.jobs.parquet`. pyarrow
takes 156 MB of disk, and with a million points this program takes 185 MB of memory: it
stays out of the web process, and its memory goes when the file is written.

The first line is JSON, `[[name, kind, names or null], …]`; `kind` is int64, float64
or text (numbers into `names`). Then, for each block: the number of rows as 8 bytes,
and each column as 8 bytes a row, followed by one byte a row that says whether there
is a value. All little-endian. Zero rows are the end.
"""

import json
import struct
import sys
from typing import Any, BinaryIO

GROUP_CELLS = 2_000_000  # numbers of one row group: what this program holds in memory


def main(source: BinaryIO, target: BinaryIO) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: list[list[Any]] = json.loads(source.readline())

    def column(kind: str, names: list[str] | None, rows: int) -> Any:
        dtype = "<f8" if kind == "float64" else "<i8"
        values = np.frombuffer(exactly(source, 8 * rows), dtype)
        missing = np.frombuffer(exactly(source, rows), np.bool_) == 0
        if kind == "text":
            return pa.DictionaryArray.from_arrays(pa.array(values, pa.int32()), pa.array(names, pa.string()))
        return pa.array(values, pa.float64() if kind == "float64" else pa.int64(), mask=missing)

    kinds = {"int64": pa.int64(), "float64": pa.float64(), "text": pa.dictionary(pa.int32(), pa.string())}
    schema = pa.schema([(name, kinds[kind]) for name, kind, _ in columns])
    with pq.ParquetWriter(pa.PythonFile(target, mode="w"), schema, compression="zstd") as writer:
        waiting: list[Any] = []
        while rows := struct.unpack("<q", exactly(source, 8))[0]:
            arrays = [column(kind, names, rows) for _, kind, names in columns]
            waiting.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
            if sum(batch.num_rows for batch in waiting) * len(columns) >= GROUP_CELLS:
                writer.write_table(pa.Table.from_batches(waiting).combine_chunks())
                waiting = []
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting).combine_chunks())


def exactly(source: BinaryIO, size: int) -> bytes:
    """`size` bytes; EOFError where the writer of them died, so that no half file looks like a whole one."""
    content = source.read(size)
    if len(content) != size:
        raise EOFError("the blocks ended before their end")
    return content


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
