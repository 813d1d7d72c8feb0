"""A job's points as a Parquet file, written by a program of its own: the web process never loads pyarrow."""

import json
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from training.jobs.points import PLACES, Points, PointTable
from training.jobs.tables import WIDE, header

SECONDS = 60.0  # how long the program may take for the end of its file
CHUNK = 256 * 1024
SAID = 2000
writers = threading.BoundedSemaphore(2)


class ParquetUnavailable(Exception):
    """The file can't be written here or now; the message says why."""


def parquet_file(table: PointTable, layout: str) -> IO[bytes]:
    """A temporary file, gone when it is closed, at its beginning. Raises ParquetUnavailable.

    Blocks go through a pipe one after another, so neither process ever holds the whole table.
    """
    if not writers.acquire(timeout=SECONDS):
        raise ParquetUnavailable("Other tables are being written; try again in a minute.")
    target = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
    try:
        _write(table, layout, target)
    except BaseException:
        target.close()
        raise
    finally:
        writers.release()
    target.seek(0)
    return target


def file_pieces(file: IO[bytes]) -> Iterator[bytes]:
    """What is left of a file, piece by piece; it is closed at the end, whatever the reason."""
    with file:
        while piece := file.read(CHUNK):
            yield piece


def _write(table: PointTable, layout: str, target: IO[bytes]) -> None:
    command = [sys.executable, "-m", "training.jobs.parquet_writer"]
    with tempfile.TemporaryFile() as errors:
        program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=target, stderr=errors, cwd=settings.BASE_DIR)
        try:
            _feed(program.stdin, table, layout)
            code = program.wait(SECONDS)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            program.kill()
            code = program.wait() or 1
        finally:
            program.kill()
            program.wait()
        if code:
            raise ParquetUnavailable(_reason(errors))


def _feed(pipe: IO[bytes] | None, table: PointTable, layout: str) -> None:
    assert pipe is not None
    with pipe:
        pipe.write(json.dumps(_columns(table, layout)).encode() + b"\n")
        for block in table.blocks():
            rows, columns = _wide(block) if layout == WIDE else _long(block)
            pipe.write(struct.pack("<q", rows))
            for values, present in columns:
                pipe.write(values.tobytes())
                pipe.write(present.tobytes())
        pipe.write(struct.pack("<q", 0))


def _columns(table: PointTable, layout: str) -> list[tuple[str, str, tuple[str, ...] | None]]:
    whole = {"seq", "attempt", "step", "epoch"} if layout != WIDE else set(PLACES) - {"time"}
    places = {*PLACES}
    found: list[tuple[str, str, tuple[str, ...] | None]] = []
    for index, name in enumerate(header(table, layout)):
        of_places = index < len(PLACES) if layout == WIDE else name in places
        text = layout != WIDE and name == "name"
        kind = "text" if text else "int64" if of_places and name in whole else "float64"
        found.append((name, kind, table.names if text else None))
    return found


Column = tuple[NDArray[Any], NDArray[np.bool_]]


def _wide(block: Points) -> tuple[int, list[Column]]:
    places = [_place(block, name) for name in PLACES]
    values = [(block.columns.values[:, one], block.present[:, one]) for one in range(len(block.columns.names))]
    return len(block.columns.seq), [*places, *values]


def _long(block: Points) -> tuple[int, list[Column]]:
    rows, names = block.cells
    every = np.ones(len(rows), np.bool_)
    places = [(values[rows], present[rows]) for values, present in (_place(block, name) for name in PLACES)]
    return len(rows), [(names.astype(np.int64), every), *places, (block.columns.values[rows, names], every)]


def _place(block: Points, name: str) -> Column:
    values = getattr(block.columns, name)
    return values, values >= 0 if name in ("step", "epoch") else np.ones(len(values), np.bool_)


def _reason(errors: IO[bytes]) -> str:
    errors.seek(0)
    said = errors.read()[-SAID:].decode("utf-8", "replace").strip()
    if "No module named 'pyarrow'" in said:
        return "Parquet needs pyarrow on the server (deploy/requirements-web.txt)."
    return f"The file could not be written: {said.splitlines()[-1] if said else 'its writer was ended'}."
