"""Weights & Biases offline: run files that can be cut to a known length and continued; `wandb sync` uploads them.

The format is LevelDB's log (blocks of 32 KiB, chunks with a header of 7 bytes)
with two changes: the file starts with 7 bytes of its own, within the first
block, and the checksum is a plain CRC-32 over the chunk's kind and content
(wandb's core/pkg/leveldb/record.go and core/internal/transactionlog). The
records are the SDK's protobufs.
"""

import json
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from observability.base import JobFacts, State
from observability.lengths import file_grown

START = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
BLOCK, HEADER = 32 * 1024, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
LONGEST_TAG = 64


class Offline:
    """One file for each run; the state holds its length."""

    def __init__(self, root: Path, config: Mapping[str, str]) -> None:
        self._record = import_module("wandb.proto.wandb_internal_pb2").Record
        self._root, self._entity = root, config.get("WANDB_ENTITY", "")

    def open(self, project: str, run_id: str, job: JobFacts, state: State) -> None:
        """Begin the file with what is known of the run, unless it has begun."""
        if state.get("length"):
            return
        record, metric = self._record(num=1), self._record(num=2)
        run = record.run
        run.run_id, run.project, run.entity, run.display_name = run_id, project, self._entity, job.name
        run.run_group, run.job_type, run.notes = job.experiment, job.trainer, job.url
        run.tags.extend(tag[:LONGEST_TAG] for tag in job.tags)
        run.start_time.FromMilliseconds(_created(run_id))
        metric.metric.glob_name, metric.metric.step_metric = "*", "step"
        metric.metric.options.step_sync = metric.metric.options.defined = True
        self._append(run_id, [record, metric], state)

    def settings(self, project: str, run_id: str, parameters: Mapping[str, Any], state: State) -> None:
        record = self._record()
        for key, value in parameters.items():
            record.config.update.add(key=key, value_json=json.dumps(value, ensure_ascii=False, default=str))
        self._append(run_id, [record], state)

    def rows(self, project: str, run_id: str, rows: Sequence[Mapping[str, Any]], state: State) -> None:
        """Each row with its `_step`, and behind them the newest values as the run's summary."""
        last = {key: value for row in rows for key, value in row.items()}
        self._append(run_id, [*map(self._history, rows), self._summary(last)], state)

    def summary(self, project: str, run_id: str, values: Mapping[str, Any], state: State) -> None:
        self._append(run_id, [self._summary(values)], state)

    def end(self, project: str, run_id: str, exit_code: int, error: str, state: State) -> None:
        """The end lies beyond the length in the state: when the job goes on, or ends again, it is cut off."""
        record = self._record()
        record.exit.exit_code = exit_code
        self._append(run_id, [self._summary({"platform.error": error}), record], dict(state))

    def history(self, project: str, run_id: str) -> Iterator[dict[str, Any]]:
        """The rows, in order."""
        for record in map(self._record.FromString, records(self._file(run_id).read_bytes())):
            if record.HasField("history"):
                yield {item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}

    def _history(self, row: Mapping[str, Any]) -> Any:
        record = self._record()
        record.history.step.num = row["_step"]
        for key, value in row.items():
            record.history.item.add(nested_key=[key], value_json=json.dumps(value))  # W&B's JSON has NaN and Infinity
        return record

    def _summary(self, values: Mapping[str, Any]) -> Any:
        record = self._record()
        for key, value in values.items():
            record.summary.update.add(nested_key=[key], value_json=json.dumps(value, ensure_ascii=False, default=str))
        return record

    def _append(self, run_id: str, messages: Iterable[Any], state: State) -> None:
        path = self._file(run_id)
        with file_grown(path, state.get("length", 0)) as file:
            file.write(START if not file.tell() else b"")
            position = file.tell()
            for message in messages:
                for piece in _chunks(message.SerializeToString(), position):
                    position += file.write(piece)
        state["length"] = position
        path.with_name(f"{path.name}.synced").unlink(missing_ok=True)  # there is more to upload

    def _file(self, run_id: str) -> Path:
        began = datetime.fromtimestamp(_created(run_id) / 1000, UTC)
        return self._root / "wandb" / f"offline-run-{began:%Y%m%d_%H%M%S}-{run_id}" / f"run-{run_id}.wandb"


def records(content: bytes) -> Iterator[bytes]:
    """The whole records of a file, in order."""
    position, record = len(START), b""
    while position + HEADER <= len(content):
        if BLOCK - position % BLOCK < HEADER:
            position += BLOCK - position % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", content, position)
        position += HEADER + length
        payload = content[position - length : position]
        record = payload if kind in (FULL, FIRST) else record + payload
        if kind in (FULL, LAST) and position <= len(content):
            yield record


def _chunks(record: bytes, position: int) -> Iterator[bytes]:
    first = True
    while first or record:
        room = BLOCK - position % BLOCK
        if room < HEADER:
            yield bytes(room)
            position += room
            continue
        payload, record = record[: room - HEADER], record[room - HEADER :]
        kind = (FIRST if record else FULL) if first else (MIDDLE if record else LAST)
        chunk = struct.pack("<IHB", zlib.crc32(bytes([kind]) + payload), len(payload), kind) + payload
        position += len(chunk)
        first = False
        yield chunk


def _created(run_id: str) -> int:
    return int(run_id.rpartition("-")[2])
