"""Hears `training`'s signals and wakes the delivery workers, from a background thread.

A wake-up says "look", and nothing else. They are coalesced and may be lost: a
hung broker costs one flag of memory, and each lane looks by itself once a second.
"""

import logging
import threading
from typing import Any

from celery import current_app
from kombu.exceptions import OperationalError

from training.signals import recorded

logger = logging.getLogger(__name__)
PACE_SECONDS = 0.5  # between two wake-ups of this process: in a steady stream this is how far the tools are behind
EXPIRES_SECONDS = 10
_news = threading.Event()
_lock = threading.Lock()
_thread: threading.Thread | None = None


def connect() -> None:
    recorded.connect(_recorded, dispatch_uid="observability")


def wake() -> None:
    """Tell the delivery workers that there is something to send; returns at once."""
    global _thread
    _news.set()
    with _lock:
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_send, name="delivery-wakeups", daemon=True)
            _thread.start()


def _recorded(sender: Any, **_: Any) -> None:
    wake()


def _send() -> None:
    pause = threading.Event()
    while True:
        _news.wait()
        _news.clear()
        try:
            current_app.send_task(
                "observability.tasks.deliver",
                queue="delivery",
                expires=EXPIRES_SECONDS,
                retry=False,
                ignore_result=True,
            )
        except (OperationalError, OSError) as error:
            logger.warning("The broker is away (%s); the lanes look by themselves", error)
        pause.wait(PACE_SECONDS)
