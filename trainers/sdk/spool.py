"""The spool: an append-only record on disk of what the trainer said and the platform has not yet answered."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import threading
from pathlib import Path

from trainers.sdk.errors import SpoolInUse
from trainers.sdk.records import Record, SegmentReader, last_whole_record, line_of, segment_path
from trainers.sdk.stderr import remark

_open_folders: set[Path] = set()
_write = ctypes.PyDLL(None, use_errno=True).write
_write.argtypes, _write.restype = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t), ctypes.c_ssize_t


def write_at_once(descriptor: int, content: bytes) -> int:
    """write(2) that keeps the interpreter's lock; how many bytes were written. Raises OSError.

    os.write gives the lock away, and the training thread then waits up to 5 ms for the sender to give it back: the
    99th percentile of a report was 2 ms with it. The page cache takes a line in 1 µs.
    """
    written = _write(descriptor, content, len(content))
    if written < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return written


class Spool:
    """Numbered records in segment files, each named by its first number; whole segments go once acknowledged.

    `append` returns when the operating system has the record, so a killed process loses nothing. One process at a
    time holds a spool. Safe under threads: appends are serialised, `read` takes no lock.
    """

    def __init__(self, folder: Path, segment_bytes: int = 1 << 20, limit_bytes: int = 4 << 30) -> None:
        """Open the spool in `folder`, dropping a torn tail; numbers go on. Raises SpoolInUse, OSError."""
        self.folder = folder.resolve()
        self.segment_bytes, self.limit_bytes = segment_bytes, limit_bytes
        self.lost = 0
        self.has_room = True
        self.news = threading.Event()
        self._mutex = threading.Lock()
        self._process = os.getpid()
        self._last, self._written = 0, 0
        self._descriptor = -1
        self.folder.mkdir(parents=True, exist_ok=True)
        self._hold()
        self._acknowledged = self._read_acknowledged()
        self._reader = SegmentReader(self.folder)
        self._segments = sorted(int(path.stem) for path in self.folder.glob("*.spool"))
        self._recover()

    @property
    def last_number(self) -> int:
        """The number of the newest record ever appended; 0 before the first."""
        return self._last

    @property
    def acknowledged(self) -> int:
        """All records up to this number were answered."""
        return self._acknowledged

    @property
    def pending(self) -> int:
        """How many records wait for an answer."""
        return self._last - self._acknowledged

    def append(self, kind: bytes, body: bytes) -> int:
        """Keep a record and return its number; 0 if it is lost because the disk, or the spool's limit, is full.

        A forked child's reports are not taken: the attempt has one numbered sender.
        """
        if os.getpid() != self._process:
            return 0
        with self._mutex:
            number = self._last + 1
            if not self._write(line_of(number, kind, body)):
                self.lost += 1
                return 0
            self._last = number
        if not self.news.is_set():
            self.news.set()
        return number

    def read(self, after: int, count: int = 1000, size: int = 3 << 20) -> list[Record]:
        """Up to `count` records and about `size` bytes past the number `after`, in order of their numbers.

        The first may be later than `after + 1` where the spool no longer has what was acknowledged.
        """
        return self._reader.read(self._segments, after + 1, self._last, count, size)

    def acknowledge(self, number: int) -> None:
        """Remember that all up to `number` is answered, and delete the segments that hold nothing else."""
        self._remember(max(self._acknowledged, min(number, self._last)))
        while len(self._segments) > 1 and self._segments[1] <= self._acknowledged + 1:
            self._path(self._segments[0]).unlink(missing_ok=True)
            del self._segments[0]

    def go_back(self, number: int) -> None:
        """Take all past `number` as not answered again: the platform lost it, from a backup perhaps."""
        self._remember(min(self._acknowledged, number))

    def close(self) -> None:
        """Give the spool back; appends after this are lost."""
        with self._mutex:
            if self._process == 0:
                return
            self._process = 0
            for descriptor in (self._descriptor, self._acknowledged_file, self._lock_file):
                if descriptor >= 0:
                    os.close(descriptor)
            _open_folders.discard(self.folder)

    def _remember(self, number: int) -> None:
        """Best effort: what is remembered too low is sent again, and answered as a repeat."""
        self._acknowledged = number
        with contextlib.suppress(OSError):
            os.pwrite(self._acknowledged_file, b"%020d\n" % number, 0)

    def _write(self, line: bytes) -> bool:
        """Append a line wholly or not at all; False if there is no room."""
        try:
            if self._descriptor < 0 or self._written >= self.segment_bytes:
                self._start_segment(self._last + 1)
            written = write_at_once(self._descriptor, line)
        except OSError as error:
            return self._no_room(error)
        if written < len(line):
            return self._cut_back(OSError(f"{written} of {len(line)} bytes were written"))
        self._written += written
        self.has_room = True
        return True

    def _cut_back(self, error: OSError) -> bool:
        try:
            os.ftruncate(self._descriptor, self._written)
        except OSError:
            self._written = self.segment_bytes
        return self._no_room(error)

    def _no_room(self, error: OSError) -> bool:
        self.has_room = False
        if not self.lost:
            remark(f"the spool in {self.folder} takes nothing more: {error}")
        return False

    def _start_segment(self, first: int) -> None:
        if len(self._segments) * self.segment_bytes >= self.limit_bytes:
            raise OSError(f"it holds {self.limit_bytes} bytes that the platform has not answered")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self._path(first), flags, 0o600)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._written = descriptor, 0
        if first not in self._segments:
            self._segments.append(first)

    def _recover(self) -> None:
        """Find the last whole record, cut what is torn after it, and go on in the last segment."""
        kept = 0
        for index, first in enumerate(self._segments):
            path = self._path(first)
            kept, end = last_whole_record(path, first)
            if end < path.stat().st_size:
                os.truncate(path, end)
                self._drop(self._segments[index + 1 :])
                break
        self._last = max(kept, self._acknowledged)
        if self._segments and kept == self._last:
            path = self._path(self._segments[-1])
            self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            self._written = path.stat().st_size
        if self.pending:
            self.news.set()

    def _drop(self, firsts: list[int]) -> None:
        for first in firsts:
            self._path(first).unlink(missing_ok=True)
        self._segments = [first for first in self._segments if first not in firsts]

    def _hold(self) -> None:
        """Take the folder for this process. A POSIX lock: forked children do not inherit it, the dead leave it."""
        if self.folder in _open_folders:
            raise SpoolInUse(f"this process already writes the spool in {self.folder}")
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._lock_file = os.open(self.folder / "lock", flags, 0o600)
        try:
            fcntl.lockf(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            os.close(self._lock_file)
            raise SpoolInUse(f"another process writes the spool in {self.folder}") from None
        self._acknowledged_file = os.open(self.folder / "acknowledged", flags, 0o600)
        _open_folders.add(self.folder)

    def _read_acknowledged(self) -> int:
        text = os.pread(self._acknowledged_file, 20, 0)
        return int(text) if text.isdigit() else 0

    def _path(self, first: int) -> Path:
        return segment_path(self.folder, first)
