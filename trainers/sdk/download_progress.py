"""How far a download is: told to the platform with the heartbeat, and to the log now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_BEATS = 1.0


@dataclass
class Progress:
    """Files and bytes that are to be fetched, and how many of them are here."""

    files: int
    size: int
    files_done: int = 0
    size_done: int = 0

    def more(self, size: int) -> Progress:
        """One more file has come."""
        self.files_done += 1
        self.size_done += size
        return self

    def told(self) -> dict[str, int]:
        """As the platform is told it."""
        return {"files": self.files_done, "of": self.files, "bytes": self.size_done, "of_bytes": self.size}


class Telling:
    """Passes progress on: once a second to the heartbeat, every ten seconds as a line; the end always."""

    def __init__(self, beat: Callable[[dict[str, int]], None], say: Callable[[str], None]) -> None:
        self.beat, self.say = beat, say
        self._beaten = 0.0
        self._said = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._beaten >= SECONDS_BETWEEN_BEATS or progress.files_done == progress.files:
            self._beaten = now
            self.beat(progress.told())
        if now - self._said >= SECONDS_BETWEEN_LINES:
            self._said = now
            self.say(f"dataset: {progress.files_done} of {progress.files} files downloaded")
