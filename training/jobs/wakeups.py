"""Wake-ups for workers, from a background thread: a hung broker never delays who sends one.

A wake-up says "look at this queue"; which job runs is decided by the database.
So lost and doubled messages change nothing, and one that waits is worth all.
"""

import atexit
import logging
import threading

from celery import current_app
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)
# what else may be looked after than a queue of jobs: the task, and the queue that it is sent to
TASKS = {
    "maintenance": ("training.tasks.sweep", "maintenance"),
    "inference": ("training.tasks.infer", "inference"),
    "imports": ("training.tasks.imports", "maintenance"),
    "alerts": ("training.tasks.alerts", "maintenance"),
    "removals": ("training.tasks.removals", "maintenance"),
}
EXPIRES_SECONDS = 30
_pending: set[str] = set()
_news = threading.Condition()
_thread: threading.Thread | None = None
_sending = False


def queue_wake(queue: str) -> None:
    """Tell the workers of a queue that there is something to do."""
    global _thread
    with _news:
        _pending.add(queue)
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_send, name="broker-wakeups", daemon=True)
            _thread.start()
            atexit.register(flush)
        _news.notify_all()


def flush(seconds: float = 2.0) -> bool:
    """Wait until what is pending is sent, but no longer than `seconds`; whether it was."""
    with _news:
        return _news.wait_for(lambda: not _pending and not _sending, seconds)


def _send() -> None:
    global _sending
    while True:
        with _news:
            _news.wait_for(lambda: _pending)
            queues, _sending = sorted(_pending), True
            _pending.clear()
        for queue in queues:
            _send_one(queue)
        with _news:
            _sending = False
            _news.notify_all()


def _send_one(queue: str) -> None:
    task, place = TASKS.get(queue, ("training.tasks.work", queue))
    try:
        current_app.send_task(
            task,
            args=[] if queue in TASKS else [queue],
            queue=place,
            expires=EXPIRES_SECONDS,
            retry=False,
            ignore_result=True,
        )
    except (OperationalError, OSError) as error:
        logger.warning("The broker is away (%s); the next sweep will wake the queue %s", error, queue)
