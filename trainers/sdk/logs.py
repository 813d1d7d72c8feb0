"""The log buffer: lines gathered into batches of 50 or one second; an error takes the batch along at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from trainers.sdk.metrics import clean, compact, shortened
from trainers.sdk.records import LOG
from trainers.sdk.spool import Spool

LEVELS = ("debug", "info", "warning", "error")
LINES_A_BATCH, SECONDS_A_BATCH, BYTES_A_BATCH = 50, 1.0, 1 << 20


class LogBuffer:
    """Lines on their way into the spool, where each batch takes one number. Safe under threads."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self._mutex = threading.Lock()
        self._lines: list[bytes] = []
        self._bytes = 0
        self._since = 0.0

    def add(self, level: str, message: object, source: str, metadata: Mapping[str, Any] | None) -> None:
        """Take a line; an unknown level counts as info."""
        level = level.lower()
        line: dict[str, Any] = {"level": level if level in LEVELS else "info", "message": shortened(message)}
        line |= {"source": clean(source), "time": time.time()} | ({"metadata": dict(metadata)} if metadata else {})
        content = compact(line)
        with self._mutex:
            self._since = self._since if self._lines else time.monotonic()
            self._lines.append(content)
            self._bytes += len(content)
            if level == "error" or len(self._lines) >= LINES_A_BATCH or self._bytes >= BYTES_A_BATCH:
                self._flush()

    def flush(self) -> None:
        """Put what is gathered into the spool."""
        with self._mutex:
            self._flush()

    def flush_if_due(self) -> None:
        """Put what is older than a second into the spool."""
        if self._lines and time.monotonic() - self._since >= SECONDS_A_BATCH:
            self.flush()

    def _flush(self) -> None:
        if self._lines:
            self.spool.append(LOG, b'"lines":[%b]' % b",".join(self._lines))
            self._lines, self._bytes = [], 0
