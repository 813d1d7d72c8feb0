"""The worker's dataset cache: one folder per snapshot, shared by jobs, the least used removed first."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
import uuid
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from trainers.sdk.manifest import SnapshotFile

COMPLETE = ".complete"
STAMPS = ".stamps"
WAIT_SECONDS = 0.2
NOT_THERE = -1


class DatasetCache:
    """Folders `{snapshot}_{hash}` below one root. A folder in use by a living process is never removed.

    Who uses a folder holds a lock on a file beside it, which the system lets go when the process ends, however it
    ends; so neither a killed job keeps a folder for ever, nor does a crash of the remover lose one that is in use.
    """

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
        """Keep the folder, or what is gathered for it, from being removed while this process lives."""
        if key not in self._in_use:
            self._in_use[key] = self._open(f".{key}.use")
            fcntl.flock(self._in_use[key], fcntl.LOCK_SH)
        os.utime(self.root / f".{key}.use")

    @contextmanager
    def downloading(self, key: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Only one job at a time downloads a dataset; another waits here, is told so, and then finds it."""
        with self._open(f".{key}.download") as lock:
            while not _locked(lock, fcntl.LOCK_EX):
                waiting()
                time.sleep(WAIT_SECONDS)
            yield

    def finish(self, key: str, folder: Path, files: Sequence[SnapshotFile]) -> None:
        """The folder holds these files, or those of them that were asked for, verified: give it its name.

        When each was written is written down, so that one that is touched later is found without reading it.
        """
        stamps = array("q", (_stamp(f"{folder}/{file.path}", file.size) for file in files))
        (folder / STAMPS).write_bytes(stamps.tobytes())
        there = [file.size for file, stamp in zip(files, stamps, strict=True) if stamp != NOT_THERE]
        said = {"bytes": sum(there), "files": len(there)}
        (folder / f"{COMPLETE}.new").write_text(json.dumps(said), encoding="utf-8")
        os.replace(folder / f"{COMPLETE}.new", folder / COMPLETE)
        if folder != self.folder(key):
            os.replace(folder, self.folder(key))

    def damaged(self, key: str, files: Sequence[SnapshotFile]) -> list[SnapshotFile] | None:
        """Those of the files that are missing, or were touched since they were verified; None where nobody knows.

        `files` are those that `finish` was given; a look at each, and no reading.
        """
        folder, stamps = str(self.folder(key)), array("q")
        try:
            stamps.frombytes((self.folder(key) / STAMPS).read_bytes())
        except (OSError, ValueError):
            return None
        if len(stamps) != len(files):
            return None
        now = (_stamp(f"{folder}/{file.path}", file.size) for file in files)
        return [
            file for file, stamp, seen in zip(files, stamps, now, strict=True) if seen == NOT_THERE or seen != stamp
        ]

    def clean(self, most_bytes: float, least_free: float = 0) -> list[str]:
        """Remove what was used least until the rest fits, and so many bytes of the disk are free; the keys removed.

        What was left half downloaded, and is gathered by nobody, counts and goes like the rest.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        for left in self.root.glob(".*.removed"):  # its remover was killed
            shutil.rmtree(left, ignore_errors=True)
        sizes = {folder: _size(folder) for folder in self._folders()}
        total, removed = sum(sizes.values()), []
        for folder in sorted(sizes, key=self._last_used):
            if total <= most_bytes and shutil.disk_usage(self.root).free >= least_free:
                break
            if self._remove(folder):
                total -= sizes[folder]
                removed.append(_key(folder))
        return removed

    def _folders(self) -> list[Path]:
        whole = [path.parent for path in self.root.glob(f"*/{COMPLETE}")]
        return [folder for folder in whole if not folder.name.startswith(".")] + list(self.root.glob(".*.partial"))

    def _last_used(self, folder: Path) -> float:
        for path in (self.root / f".{_key(folder)}.use", folder / COMPLETE, folder):
            if path.exists():
                return path.stat().st_mtime
        return 0.0

    def _remove(self, folder: Path) -> bool:
        """Remove a folder that nobody uses: it loses its name first, so no one finds half of it."""
        if _key(folder) in self._in_use:
            return False
        doomed = self.root / f".{uuid.uuid4().hex}.removed"
        with self._open(f".{_key(folder)}.use") as lock:
            if not _locked(lock, fcntl.LOCK_EX):
                return False
            try:
                os.replace(folder, doomed)
            except FileNotFoundError:  # another job was cleaning too
                return False
        shutil.rmtree(doomed, ignore_errors=True)
        return True

    def _open(self, name: str) -> IO[bytes]:
        self.root.mkdir(parents=True, exist_ok=True)
        return (self.root / name).open("ab")


def _key(folder: Path) -> str:
    return folder.name.removeprefix(".").removesuffix(".partial")


def _locked(lock: IO[bytes], how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _stamp(path: str, size: int) -> int:
    """When the file was last written, in nanoseconds; NOT_THERE where it is missing or has another size."""
    try:
        status = os.stat(path)
    except OSError:
        return NOT_THERE
    return status.st_mtime_ns if status.st_size == size else NOT_THERE


def _size(folder: Path) -> int:
    """The bytes in a folder, as they were written down when it was finished, or else counted."""
    try:
        said = json.loads((folder / COMPLETE).read_bytes())
        return int(said["bytes"])
    except (OSError, ValueError, KeyError, TypeError):
        return _counted(folder)


def _counted(folder: Path) -> int:
    total, waiting = 0, [os.fspath(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except FileNotFoundError:  # it is being removed
            continue
    return total
