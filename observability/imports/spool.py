"""The points of one run on their way into the journal: kept in a file, put in order, grouped into reports.

Memory stays the same however many points there are: SQLite keeps and sorts them
in a temporary database of its own, which goes with the process.
"""

import math
import sqlite3
import struct
import time as clock
from collections import Counter
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self

from training.journal.checks import EARLIEST_TIME, LARGEST, LARGEST_EPOCH, MAX_METRICS, Unacceptable, names_read
from training.journal.payloads import Metrics

KEPT = 5000  # points in memory before they are written
LARGEST_GROUP = 50_000  # points of one moment; more become several groups
MAX_TROUBLES = 50
VALUE = struct.Struct("<d")


class Spool:
    """Takes the points of one run (`Reading`), then gives its reports."""

    def __init__(self) -> None:
        self.points = 0
        self._troubles: list[str] = []
        self._counted: Counter[str] = Counter()
        self._names: dict[str, int] = {}
        self._kept: list[tuple[Any, ...]] = []
        self._database = sqlite3.connect("", isolation_level=None)  # "" is a temporary file
        self._database.execute("PRAGMA cache_size = -16000")
        self._database.execute("PRAGMA journal_mode = OFF")
        # a value is kept as its bytes: a REAL column turns NaN into NULL, and -0.0 into 0
        self._database.execute("CREATE TABLE point (time REAL, step INTEGER, epoch INTEGER, name INTEGER, value BLOB)")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._database.close()

    def point(self, name: str, step: int | None, time: float, value: float, epoch: int | None = None) -> None:
        number = self._names.get(name)
        if number is None:
            number = self._named(name)
        if number < 0:
            self._counted["its name is empty, or longer than 255 characters"] += 1
        elif step is not None and not 0 <= step <= LARGEST:
            self._counted["its step is negative or too large"] += 1
        else:
            known = epoch if epoch is None or 0 <= epoch <= LARGEST_EPOCH else None
            self._kept.append((self._time(time), step, known, number, VALUE.pack(value)))
            self.points += 1
            if len(self._kept) >= KEPT:
                self._write()

    def trouble(self, text: str) -> None:
        if len(self._troubles) < MAX_TROUBLES:
            self._troubles.append(text)
        else:
            self._counted["more was wrong"] += 1

    def troubles(self) -> list[str]:
        """What could not be read or kept; of what happened often only how often."""
        times = {"more was wrong": "times {}", "no time": "{} points without a usable time got the run's beginning"}
        return self._troubles + [
            times.get(why, "{} points left out: " + why).format(count) for why, count in self._counted.items()
        ]

    def span(self) -> tuple[float, float] | None:
        """The time of the first point and of the last; None where no point has one."""
        self._write()
        first, last = self._database.execute("SELECT min(time), max(time) FROM point").fetchone()
        return None if first is None else (first, last)

    def reports(self, beginning: float) -> Iterator[Metrics]:
        """One report for all points of the same time and step, numbered from 1, in the order of time.

        A second value of a name at the same moment is a report of its own,
        after the first. Points without a usable time got that of `beginning`.
        """
        self._write()
        lists = list(self._names)
        rows = self._database.execute(
            "SELECT coalesce(time, ?) AS moment, step, epoch, name, value FROM point ORDER BY moment, step, rowid",
            [beginning],
        )
        number = 0
        for moment, step, epoch, points in _groups(rows):
            for report in _layers(points):
                number += 1
                names = tuple(lists[key] for key in report)
                yield Metrics(number, moment, step, epoch, names, b"".join(report.values()))

    def _named(self, name: str) -> int:
        """The number of a name; -1 if the journal has no place for it."""
        try:
            (cleaned,) = names_read((name,))
        except Unacceptable:
            return -1
        return self._names.setdefault(cleaned, len(self._names))

    def _time(self, time: float) -> float | None:
        if math.isfinite(time) and EARLIEST_TIME <= time <= clock.time() + 86_400:
            return time
        self._counted["no time"] += 1
        return None

    def _write(self) -> None:
        self._database.execute("BEGIN")
        self._database.executemany("INSERT INTO point VALUES (?, ?, ?, ?, ?)", self._kept)
        self._database.execute("COMMIT")
        self._kept.clear()


Group = tuple[float, int | None, int | None, list[tuple[int, bytes]]]


def _groups(rows: Iterable[tuple[float, int | None, int | None, int, bytes]]) -> Iterator[Group]:
    """The points of each moment: of one time and one step."""
    at: tuple[float, int | None] | None = None
    last_epoch: int | None = None
    points: list[tuple[int, bytes]] = []
    for time, step, epoch, name, value in rows:
        if points and at is not None and (at != (time, step) or len(points) >= LARGEST_GROUP):
            yield *at, last_epoch, points
            points, last_epoch = [], None
        at, last_epoch = (time, step), epoch if epoch is not None else last_epoch
        points.append((name, value))
    if at is not None and points:
        yield *at, last_epoch, points


def _layers(points: list[tuple[int, bytes]]) -> Iterator[dict[int, bytes]]:
    """The points as few reports as hold them: each name once in a report, and not too many names."""
    layers: dict[int, dict[int, bytes]] = {}
    seen: Counter[int] = Counter()
    for name, value in points:
        layers.setdefault(seen[name], {})[name] = value
        seen[name] += 1
    for layer in layers.values():
        items = sorted(layer.items())
        for start in range(0, len(items), MAX_METRICS):
            yield dict(items[start : start + MAX_METRICS])
