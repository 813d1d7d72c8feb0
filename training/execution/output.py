"""What a trainer prints, as log lines: bounded in memory, and what was cut is marked as cut."""

import codecs
import re
import threading
import time as clock
from collections import deque
from collections.abc import Mapping
from typing import IO

from training.journal.payloads import MAX_MESSAGE, Line, line_make
from training.models.journal import LogLevel

MAX_WAITING = 200_000  # lines kept until they are stored,
MAX_WAITING_CHARACTERS = 32_000_000  # and their text
CHUNK = 64 * 1024
ERROR = re.compile(r"^(Traceback \(most recent call last\)|[\w.]*(Error|Exception)\b|(ERROR|CRITICAL|FATAL)\b)")
WARNING = re.compile(r"\bWARNING\b|^[\w.]*Warning\b|UserWarning:")


class LineSplitter:
    """Turns pieces of bytes into lines. A carriage return starts the line over, as on a terminal."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, piece: bytes, final: bool = False) -> list[str]:
        """The lines that `piece` completes."""
        text = (self._rest + self._decoder.decode(piece, final)).replace("\r\n", "\n")
        held_back = "\r" if text.endswith("\r") and not final else ""  # it may be half of a line's end
        *lines, rest = text.removesuffix(held_back).split("\n")
        found = [shown for line in lines if (shown := last_state(line))]
        self._rest = open_state(rest)[: MAX_MESSAGE + 1] + held_back  # line_make cuts and marks what is longer
        if final and (shown := last_state(rest)):
            found.append(shown)
        return found


def last_state(line: str) -> str:
    """What a terminal would show of a line that was drawn over with carriage returns."""
    return next((part for part in reversed(line.split("\r")) if part.strip()), "")


def open_state(line: str) -> str:
    """The least of a line that is not complete yet which shows the same, whatever comes after it."""
    *drawn, last = line.split("\r")
    kept = next((part for part in reversed(drawn) if part.strip()), None)
    return last if kept is None or last.strip() else f"{kept}\r{last}"


def level_of(text: str) -> int:
    """The level that a printed line claims for itself."""
    if ERROR.search(text):
        return LogLevel.ERROR
    return LogLevel.WARNING if WARNING.search(text) else LogLevel.INFO


class Output:
    """Reads a process's streams on threads, so that the process never waits for the database."""

    def __init__(self, streams: Mapping[str, IO[bytes]]) -> None:
        self._lines: deque[Line] = deque()
        self._lock = threading.Lock()
        self._characters = 0
        self._cut = 0
        self.tail: deque[str] = deque(maxlen=40)
        self._threads = [
            threading.Thread(target=self._read, args=(source, stream), name=f"read-{source}", daemon=True)
            for source, stream in streams.items()
        ]
        for thread in self._threads:
            thread.start()

    def take(self, most: int = 1000) -> list[Line]:
        """The next lines, at most `most`; what had to be dropped is told by a line of its own."""
        with self._lock:
            lines = [self._lines.popleft() for _ in range(min(most, len(self._lines)))]
            self._characters -= sum(len(line.message) for line in lines)
            cut, self._cut = (self._cut, 0) if not self._lines else (0, self._cut)
        if cut:
            lines.append(line_make(f"[{cut:,} lines were cut here: they came faster than they could be stored]"))
        return lines

    def wait(self, seconds: float) -> None:
        """Wait until the streams are closed and read, but not for ever: a stray grandchild may hold them open."""
        deadline = clock.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - clock.monotonic()))

    def _read(self, source: str, stream: IO[bytes]) -> None:
        splitter = LineSplitter()
        with stream:
            while piece := stream.read1(CHUNK):  # type: ignore[attr-defined]
                self._keep(source, splitter.feed(piece))
            self._keep(source, splitter.feed(b"", final=True))

    def _keep(self, source: str, texts: list[str]) -> None:
        now = clock.time()
        with self._lock:
            for text in texts:
                self.tail.append(text[:1000])
                if len(self._lines) >= MAX_WAITING or self._characters >= MAX_WAITING_CHARACTERS:
                    self._cut += 1
                    continue
                line = line_make(text, level_of(text), source, now)
                self._characters += len(line.message)
                self._lines.append(line)
