"""The wish to stop: who asked first and why, seen by every part of the SDK."""

from __future__ import annotations

import threading
from collections.abc import Callable

CANCEL, REFUSED, TERMINATED = "cancel", "refused", "terminated"


class StopSignal:
    """Set once; the first reason stays. Listeners are called in the thread that asks."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._mutex = threading.RLock()  # a signal may interrupt the thread that holds it
        self.reason: str | None = None
        self.detail = ""
        self.listeners: list[Callable[[], None]] = []

    @property
    def asked(self) -> bool:
        """Whether training should end now."""
        return self._event.is_set()

    def ask(self, reason: str, detail: str = "") -> None:
        """Ask training to end: `cancel` by a person, `refused` by the platform for good, `terminated` by a signal."""
        with self._mutex:
            if self._event.is_set():
                return
            self.reason, self.detail = reason, detail
            self._event.set()
        for listener in self.listeners:
            listener()
