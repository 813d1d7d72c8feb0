"""The roll-up follower: whenever 4,096 more records of a job are there, their points become buckets, once and for all.

Buckets are aligned to the journal's numbers: bucket k of level L holds the
records (k·64^L, (k+1)·64^L]. So whoever makes them makes the same ones, and
they are inserted in one transaction with the follower's cursor.
"""

from collections.abc import Iterable

import numpy as np
from django.db import transaction

from training.journal.buckets import BUCKET, Buckets, Places, buckets_empty, buckets_fold, buckets_of
from training.journal.reader import Columns, heads, metric_columns
from training.models import FollowerCursor, MetricSeries, RollUp

FOLLOWER = "rollup"
FANOUT = 64
BLOCK = FANOUT * FANOUT  # records that one row of level 1 holds
LEVELS = 3
INSERTED = 200  # rows in one statement
Series = tuple[str, int]


def rollup_update(job_id: int) -> int:
    """Make all buckets that are due; how many blocks of records were rolled up."""
    FollowerCursor.objects.get_or_create(follower=FOLLOWER, job_id=job_id)
    blocks = 0
    while _next_block(job_id):
        blocks += 1
    return blocks


def rolled_up(job_id: int) -> int:
    """The number of the last record that the roll-ups hold."""
    cursor = FollowerCursor.objects.filter(follower=FOLLOWER, job_id=job_id).values_list("seq", flat=True)
    return cursor.first() or 0


def record_place(seq: Places, level: int) -> Places:
    """The bucket of a level that records fall into."""
    return (seq - 1) // FANOUT**level


def _next_block(job_id: int) -> bool:
    """Read and count outside of the transaction: it is short, and writers of the journal do not wait for it."""
    begun = rolled_up(job_id)
    head = heads([job_id]).get(job_id)
    if head is None or head.seq < begun + BLOCK:
        return False
    made = _first_level(metric_columns(job_id, after=begun, until=begun + BLOCK))
    numbers = _series_numbers(job_id, made)
    block = begun // BLOCK
    rows = [_row(numbers[series], 1, block, places, buckets) for series, (places, buckets) in made.items()]
    with transaction.atomic():
        cursor = FollowerCursor.objects.filter(follower=FOLLOWER, job_id=job_id, seq=begun)
        if not cursor.update(seq=begun + BLOCK):
            return True  # another process was quicker; what it did is not to be done again
        RollUp.objects.bulk_create(rows, batch_size=INSERTED)
        for level in range(2, LEVELS + 1):
            if (block + 1) % FANOUT ** (level - 1) == 0:
                _coarser(job_id, level, block // FANOUT ** (level - 1))
    return True


def _first_level(blocks: Iterable[Columns]) -> dict[Series, tuple[Places, Buckets]]:
    parts: dict[Series, list[tuple[Places, Buckets]]] = {}
    for columns in blocks:
        for attempt in np.unique(columns.attempt):
            rows = np.flatnonzero(columns.attempt == attempt)
            places = record_place(columns.seq[rows], 1)
            for index, name in enumerate(columns.names):
                parts.setdefault((name, int(attempt)), []).append(buckets_of(columns, rows, places, index))
    return {series: _together(found) for series, found in parts.items()}


def _together(parts: list[tuple[Places, Buckets]]) -> tuple[Places, Buckets]:
    """One metric may be in several lists of names."""
    if len(parts) == 1:
        return parts[0]
    return buckets_fold(np.concatenate([part[1] for part in parts]), np.concatenate([part[0] for part in parts]))


def _series_numbers(job_id: int, wanted: Iterable[Series]) -> dict[Series, int]:
    rows = [MetricSeries(job_id=job_id, name=name, attempt=attempt) for name, attempt in sorted(wanted)]
    known = MetricSeries.objects.filter(job_id=job_id).values_list("name", "attempt", "pk")
    numbers = {(name, attempt): number for name, attempt, number in known}
    missing = [row for row in rows if (row.name, row.attempt) not in numbers]
    if missing:
        MetricSeries.objects.bulk_create(missing, ignore_conflicts=True)
        numbers = {(name, attempt): number for name, attempt, number in known.all()}
    return numbers


def _coarser(job_id: int, level: int, block: int) -> None:
    """A block of a level out of the 64 blocks below, each of which becomes one bucket."""
    below = RollUp.objects.filter(series__job_id=job_id, level=level - 1, block__gte=block * FANOUT)
    found: dict[int, list[tuple[int, Buckets]]] = {}
    for series, place, data in below.values_list("series_id", "block", "buckets"):
        found.setdefault(series, []).append((place, np.frombuffer(data, BUCKET)))
    rows = []
    for series, parts in found.items():
        places = np.repeat([place for place, _ in parts], [len(part) for _, part in parts])
        rows.append(_row(series, level, block, *buckets_fold(np.concatenate([part for _, part in parts]), places)))
    RollUp.objects.bulk_create(rows, batch_size=INSERTED)


def _row(series: int, level: int, block: int, places: Places, buckets: Buckets) -> RollUp:
    whole = buckets_empty(FANOUT)
    whole[places - block * FANOUT] = buckets
    ranges = {}
    for name in ("step", "epoch", "time"):
        ranges[f"low_{name}"] = buckets[f"low_{name}"].min().item()
        ranges[f"high_{name}"] = buckets[f"high_{name}"].max().item()
    return RollUp(series_id=series, level=level, block=block, buckets=whole.tobytes(), **ranges)
