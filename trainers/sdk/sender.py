"""The sender: a background thread that keeps the spool empty, however long the platform is away."""

from __future__ import annotations

import threading
import time
import traceback

from trainers.sdk.delivery import Delivery
from trainers.sdk.logs import LogBuffer
from trainers.sdk.stderr import remark

GATHER_SECONDS = 0.05
TICK_SECONDS = 0.25


class Sender(threading.Thread):
    """Sends as soon as something is there, but at most every 50 ms, so that a fast loop makes few requests.

    Each request takes the interpreter's lock some times; rarely enough, and the training thread does not notice.
    """

    def __init__(self, delivery: Delivery, logs: LogBuffer) -> None:
        super().__init__(name="sdk-sender", daemon=True)
        self.delivery, self.logs = delivery, logs
        self._news = delivery.spool.news
        self._ended = threading.Event()
        self._hurry = threading.Event()
        self._gathered = 0.0

    def run(self) -> None:
        """Until closed or refused; a fault in a round is shown and does not end the thread."""
        while not self._ended.is_set() and not self.delivery.refused:
            try:
                self._round()
            except Exception:
                remark(f"a fault in the sender:\n{traceback.format_exc()}")
                self._pause(5.0)

    def drain(self, seconds: float) -> bool:
        """Wait until all is answered, for at most `seconds`; whether it is."""
        deadline = time.monotonic() + seconds
        self._hurry.set()
        self._news.set()
        while not self.delivery.done and self.is_alive() and time.monotonic() < deadline:
            time.sleep(0.005)
        self._hurry.clear()
        return self.delivery.done

    def close(self) -> None:
        """End the thread; what is not answered stays in the spool."""
        self._ended.set()
        self._hurry.set()
        self._news.set()
        self.join(timeout=5.0)

    def _round(self) -> None:
        self.logs.flush_if_due()
        if self.delivery.done:
            self._news.wait(TICK_SECONDS)
            self._news.clear()
            return
        if self.delivery.may_gather:
            self._hurry.wait(max(0.0, self._gathered + GATHER_SECONDS - time.monotonic()))
            self._gathered = time.monotonic()
        wait = self.delivery.try_once()
        if wait:
            self._pause(wait)

    def _pause(self, seconds: float) -> None:
        """Wait, while log lines still go from memory into the spool each second."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and not self._ended.wait(min(left, TICK_SECONDS)):
            self.logs.flush_if_due()
