"""The pulse: a file that is touched while this process lives, for the supervisor on the same machine.

The heartbeat tells the platform; it stops with the network. The pulse does not: so a trainer that is only cut off
is not taken for one that hangs.
"""

from __future__ import annotations

import threading
from pathlib import Path


class Pulse(threading.Thread):
    """Touches its file every `seconds`, and takes it away when closed: then nothing is promised any more."""

    def __init__(self, file: Path, seconds: float) -> None:
        super().__init__(name="sdk-pulse", daemon=True)
        self.file, self.seconds = file, seconds
        self._ended = threading.Event()

    def run(self) -> None:
        """Until closed; a full disk stops no training, and touching takes no room."""
        while not self._ended.is_set():
            self._touch()
            self._ended.wait(self.seconds)

    def close(self) -> None:
        """End the thread and remove the file."""
        self._ended.set()
        self.join(timeout=2.0)
        self.file.unlink(missing_ok=True)

    def _touch(self) -> None:
        try:
            self.file.touch()
        except OSError:
            self._ended.set()  # no file, no promise: the supervisor then looks at the process alone
