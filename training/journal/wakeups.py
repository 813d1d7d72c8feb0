"""Wake-ups after a commit, from a background thread: sending one never delays who writes.

Coalesced per job, so a hung receiver costs one number a job of memory.
"""

import threading
from collections.abc import Mapping

from training import signals

_pending: dict[int, int] = {}
_news = threading.Condition()
_thread: threading.Thread | None = None


def announce(heads: Mapping[int, int]) -> None:
    """Tell whoever listens in this process that these jobs' journals have reached these numbers."""
    global _thread
    with _news:
        _pending.update(heads)
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_send, name="journal-wakeups", daemon=True)
            _thread.start()
        _news.notify()


def _send() -> None:
    while True:
        with _news:
            _news.wait_for(lambda: _pending)
            heads = dict(_pending)
            _pending.clear()
        signals.recorded.send_robust(sender=None, heads=heads)
