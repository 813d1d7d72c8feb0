"""Files that are cut to a known length before they grow: what makes a file hold each report exactly once."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from observability.base import AdapterError


def file_cut(path: Path, length: int) -> None:
    """Make the file `length` bytes long, and make it if there is none.

    AdapterError if it is shorter: what was delivered is no longer there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    if (size := path.stat().st_size) < length:
        missing = f"{path.name} lacks {length - size} bytes that were delivered"
        raise AdapterError(f"{missing}. Was it deleted or changed? Deliver from the beginning.", permanent=True)
    os.truncate(path, length)


@contextmanager
def file_grown(path: Path, length: int) -> Iterator[BinaryIO]:
    """The file, cut to `length` and open for writing behind that; on disk for good at the end."""
    file_cut(path, length)
    with path.open("r+b") as file:
        file.seek(length)
        yield file
        file.flush()
        os.fsync(file.fileno())
