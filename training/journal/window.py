"""Any window of any series, at a cost that does not grow with it: the right level of the roll-ups, and raw records.

Raw records are read where the window holds few, else each series' finest level
that has not too many rows in it. At the journal's open end, where a level has
no buckets yet, those below it are merged to its size, and at last raw records.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
from django.db.models import Count, Q
from numpy.typing import NDArray

from training.journal.buckets import BUCKET, COUNTS, Buckets, Places, buckets_fold, buckets_of
from training.journal.reader import Columns, metric_columns
from training.journal.rollup import BLOCK, FANOUT, LEVELS, record_place, rolled_up
from training.models import MetricSeries, RollUp

AXES = ("step", "epoch", "time")
RAW_BLOCKS = 2  # blocks of 4,096 records that are still read raw
FULL_WIDTH = 1000  # buckets in a chart of full width
FINE_ROWS = 256  # for these: rows of a level, of 64 buckets each, above which a series is read one level coarser
Key = tuple[str, int]  # a metric's name and the attempt
Part = tuple[Places, Buckets]


@dataclass(frozen=True, slots=True)
class Window:
    """What a chart shows: from `start` to `end` along an axis, both included, None where there is no bound."""

    axis: str = "step"
    start: float | None = None
    end: float | None = None

    def rows(self) -> Q:
        """The roll-ups that reach into the window."""
        found = Q()
        if self.start is not None:
            found &= Q(**{f"high_{self.axis}__gte": self.start})
        if self.end is not None:
            found &= Q(**{f"low_{self.axis}__lte": self.end})
        return found

    def reached(self, buckets: Buckets) -> NDArray[np.bool_]:
        """Which buckets hold something and reach into the window."""
        found = buckets_filled(buckets)
        if self.start is not None:
            found &= buckets[f"high_{self.axis}"] >= self.start
        if self.end is not None:
            found &= buckets[f"low_{self.axis}"] <= self.end
        return found


@dataclass(frozen=True, slots=True)
class Line:
    """One metric of one attempt in a window: buckets in the journal's order, and the last record of each."""

    name: str
    attempt: int
    seq: Places
    buckets: Buckets

    @property
    def exact(self) -> bool:
        """Whether every bucket is a single point."""
        return bool((_sizes(self.buckets) <= 1).all())


def window_lines(job_id: int, names: Collection[str] | None, window: Window, most: int) -> list[Line]:
    """The lines of some metrics, or of all, each of `most` buckets at most; none for a metric without points there."""
    rolled = rolled_up(job_id)
    series = MetricSeries.objects.filter(job_id=job_id)
    if names is not None:
        series = series.filter(name__in=names)
    keys: dict[int, Key] = {
        number: (name, attempt) for number, name, attempt in series.values_list("pk", "name", "attempt")
    }
    first = RollUp.objects.filter(window.rows(), series__in=keys, level=1, block__lt=rolled // BLOCK)
    blocks = set(first.values_list("block", flat=True).distinct()[: RAW_BLOCKS + 1])
    levels = _levels(list(keys), window, most) if len(blocks) > RAW_BLOCKS else {}
    parts: dict[Key, list[Part]] = defaultdict(list)
    for number, part in _rolled(levels, window, rolled):
        parts[keys[number]].append(part)
    by_key = {keys[number]: level for number, level in levels.items()}
    for start in [] if levels else sorted(blocks):
        _add_raw(parts, metric_columns(job_id, names, start * BLOCK, (start + 1) * BLOCK), names, by_key)
    _add_raw(parts, metric_columns(job_id, names, rolled), names, by_key)
    lines = (_line(key, parts[key], by_key.get(key, 0), window, most) for key in sorted(parts))
    return [line for line in lines if len(line.seq)]


def buckets_filled(buckets: Buckets) -> NDArray[np.bool_]:
    return _sizes(buckets) > 0


def _sizes(buckets: Buckets) -> NDArray[np.int64]:
    return sum((buckets[kind].astype(np.int64) for kind in COUNTS), np.zeros(len(buckets), np.int64))


def _levels(numbers: Collection[int], window: Window, most: int) -> dict[int, int]:
    """The level at which each series is read: the finest of few enough rows; fewer, where less is to be drawn."""
    fine = max(1, FINE_ROWS * most // FULL_WIDTH)
    rows = RollUp.objects.filter(window.rows(), series__in=numbers).values_list("series_id", "level")
    counts = {(number, level): count for number, level, count in rows.annotate(rows=Count("block"))}
    return {
        number: next((level for level in range(1, LEVELS) if counts.get((number, level), 0) <= fine), LEVELS)
        for number, _ in counts
    }


def _rolled(levels: dict[int, int], window: Window, rolled: int) -> Iterator[tuple[int, Part]]:
    """Of each series its level's blocks, and those of finer levels past them, with the places at the series' level."""
    for level in sorted(set(levels.values())):
        numbers = [number for number, own in levels.items() if own == level]
        for finer in range(level, 0, -1):
            start = 0 if finer == level else rolled // FANOUT ** (finer + 2) * FANOUT
            rows = RollUp.objects.filter(window.rows(), series__in=numbers, level=finer)
            rows = rows.filter(block__gte=start, block__lt=rolled // FANOUT ** (finer + 1))
            for number, block, data in rows.values_list("series_id", "block", "buckets"):
                places = np.arange(block * FANOUT, (block + 1) * FANOUT) // FANOUT ** (level - finer)
                yield number, (places, np.frombuffer(data, BUCKET))


def _add_raw(
    parts: dict[Key, list[Part]], blocks: list[Columns], names: Collection[str] | None, levels: dict[Key, int]
) -> None:
    for columns in blocks:
        for attempt in np.unique(columns.attempt):
            rows = np.flatnonzero(columns.attempt == attempt)
            for index, name in enumerate(columns.names):
                if names is None or name in names:
                    key = name, int(attempt)
                    places = record_place(columns.seq[rows], levels.get(key, 0))
                    parts[key].append(buckets_of(columns, rows, places, index))


def _line(key: Key, parts: list[Part], level: int, window: Window, most: int) -> Line:
    places, buckets = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    inside = window.reached(buckets)
    places, buckets = buckets_fold(buckets[inside], places[inside])
    last = (places + 1) * FANOUT**level
    if len(buckets) > most:
        shares = np.arange(len(buckets)) * most // len(buckets)
        ends = np.flatnonzero(np.diff(shares, append=most))
        _, buckets = buckets_fold(buckets, shares)
        last = last[ends]
    return Line(*key, last, buckets)
