"""The worker's dataset cache: one folder per snapshot, shared by jobs, the least used removed first."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

COMPLETE = ".complete"


class DatasetCache:
    """Folders `{snapshot}_{hash}` below one root. A folder in use by a living process is never removed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._in_use: dict[str, IO[bytes]] = {}

    def folder(self, key: str) -> Path:
        """Where the whole dataset lies, once it does."""
        return self.root / key

    def partial(self, key: str) -> Path:
        """Where it is gathered; what an earlier try left there is used again."""
        return self.root / f".{key}.partial"

    def is_complete(self, key: str) -> bool:
        """Whether the folder was downloaded to its end."""
        return (self.folder(key) / COMPLETE).exists()

    def use(self, key: str) -> None:
        """Keep the folder from being removed while this process lives."""
        if key not in self._in_use:
            self._in_use[key] = self._open(f".{key}.use")
            fcntl.flock(self._in_use[key], fcntl.LOCK_SH)
        if self.is_complete(key):
            os.utime(self.folder(key) / COMPLETE)

    @contextmanager
    def downloading(self, key: str) -> Iterator[None]:
        """Only one job at a time downloads a dataset; another waits here, and then finds it."""
        with self._open(f".{key}.download") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def finish(self, key: str) -> None:
        """Give the gathered folder its name: from here it is complete."""
        (self.partial(key) / COMPLETE).touch()
        os.replace(self.partial(key), self.folder(key))

    def clean(self, most_bytes: float) -> list[str]:
        """Remove the least recently used folders until the rest fits; the keys of those removed."""
        folders = [path.parent for path in self.root.glob(f"*/{COMPLETE}")]
        sizes = {folder: _size(folder) for folder in folders}
        total, removed = sum(sizes.values()), []
        for folder in sorted(folders, key=lambda folder: (folder / COMPLETE).stat().st_mtime):
            if total > most_bytes and self._remove(folder):
                total -= sizes[folder]
                removed.append(folder.name)
        return removed

    def _remove(self, folder: Path) -> bool:
        """Remove a folder that nobody uses: it loses its name first, so no one finds half of it."""
        if folder.name in self._in_use:
            return False
        with self._open(f".{folder.name}.use") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            doomed = self.root / f".{folder.name}.removed"
            shutil.rmtree(doomed, ignore_errors=True)
            os.replace(folder, doomed)
            shutil.rmtree(doomed, ignore_errors=True)
            return True

    def _open(self, name: str) -> IO[bytes]:
        self.root.mkdir(parents=True, exist_ok=True)
        return (self.root / name).open("ab")


def _size(folder: Path) -> int:
    return sum(entry.stat().st_size for entry in folder.rglob("*") if entry.is_file())
