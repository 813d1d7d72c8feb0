"""What `/metrics` counts: in memory for some seconds, then in the database, where the counts of all processes meet.

Prometheus' own way for several processes is files in one machine's folder; web servers and delivery workers may be
on several, and each web server answers for all. A process that is killed takes its last seconds' counts with it.
"""

import atexit
import json
import logging
import threading
import time
from bisect import bisect_left
from collections.abc import Mapping

from django.db import Error, close_old_connections, connection, transaction

from training.journal.rows import write_turn

logger = logging.getLogger(__name__)
FLUSH_SECONDS = 5.0
BOUNDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BUCKETS = (*map(str, BOUNDS), "+Inf")
SUM = "sum"
Counts = dict[tuple[str, tuple[str, ...]], float]
ADD = """
    INSERT INTO observability_tally (name, labels, value) VALUES (%s, %s, %s)
    ON CONFLICT (name, labels) DO UPDATE SET value = observability_tally.value + excluded.value"""


class Tallies:
    """The counts of this process that are not in the database yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counts = {}
        self._flushed_at = time.monotonic()
        self._thread: threading.Thread | None = None

    def add(self, name: str, *labels: str, value: float = 1) -> None:
        with self._lock:
            self._counts[name, labels] = self._counts.get((name, labels), 0) + value

    def observe(self, name: str, *labels: str, seconds: float) -> None:
        """One duration of a histogram: its bucket, and the sum."""
        with self._lock:
            for last, value in ((BUCKETS[bisect_left(BOUNDS, seconds)], 1), (SUM, seconds)):
                key = name, (*labels, last)
                self._counts[key] = self._counts.get(key, 0) + value

    def flush(self) -> None:
        """Add what was counted to the database; where it is away, next time."""
        self._flushed_at = time.monotonic()
        with self._lock:
            counts, self._counts = self._counts, {}
        try:
            store(counts)
        except Error as error:
            logger.warning("Counts wait for the database: %s", error)
            self._put_back(counts)

    def flush_due(self) -> None:
        if time.monotonic() - self._flushed_at >= FLUSH_SECONDS:
            self.flush()

    def flush_always(self) -> None:
        """Flush every few seconds from a thread of its own, and at the process's end."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._flush_for_ever, name="tallies", daemon=True)
            self._thread.start()
            atexit.register(self.flush)

    def _flush_for_ever(self) -> None:
        pause = threading.Event()
        while not pause.wait(FLUSH_SECONDS):
            self.flush()
            close_old_connections()

    def _put_back(self, counts: Mapping[tuple[str, tuple[str, ...]], float]) -> None:
        with self._lock:
            for key, value in counts.items():
                self._counts[key] = self._counts.get(key, 0) + value


def store(counts: Counts) -> None:
    """Add to the rows, in one order for everybody, so that no two processes wait for each other."""
    rows = sorted((name, json.dumps(labels), value) for (name, labels), value in counts.items())
    if rows:
        with write_turn(), transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany(ADD, rows)


tallies = Tallies()
