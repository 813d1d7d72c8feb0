"""The heartbeat: a thread of its own that proves the trainer lives, and hears of a cancel."""

from __future__ import annotations

import threading
from typing import Any

from trainers.sdk.connection import Connection, Verdict
from trainers.sdk.errors import NetworkError
from trainers.sdk.metrics import compact
from trainers.sdk.stopping import CANCEL, REFUSED, StopSignal


class Heartbeat(threading.Thread):
    """Beats every `seconds`, and at once when a cancel is seen; a lost beat is not repeated, the next one tells."""

    def __init__(self, connection: Connection, stop: StopSignal, seconds: float) -> None:
        super().__init__(name="sdk-heartbeat", daemon=True)
        self.connection, self.stop, self.seconds = connection, stop, seconds
        self._wake = threading.Event()
        self._ended = False
        self._news: dict[str, Any] = {}
        stop.listeners.append(self._wake.set)

    def run(self) -> None:
        """Until closed, or until the platform refuses this attempt for good."""
        while not self._ended and self.stop.reason != REFUSED:
            self._beat()
            self._wake.wait(self.seconds)
            self._wake.clear()

    def tell(self, news: dict[str, Any]) -> None:
        """Beat now, with this word beside; the newest word of each name counts, and is told once."""
        self._news = self._news | news
        self._wake.set()

    def close(self) -> None:
        """End the thread."""
        self._ended = True
        self._wake.set()

    def _beat(self) -> None:
        news, self._news = self._news, {}
        said = {**news, "cancel_seen": True} if self.stop.reason == CANCEL else news
        try:
            answer = self.connection.post("heartbeat", compact(said))
        except NetworkError:
            self._news = news | self._news
            return
        if answer.verdict is Verdict.OVER:
            self.stop.ask(REFUSED, answer.reason)
        elif answer.status == 200 and answer.data.get("cancel"):
            self.stop.ask(CANCEL)
