"""Reading the journal past a cursor, its heads, and its metrics as columns."""

import json
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from training.journal.names import names_of
from training.journal.rows import newest
from training.models.journal import JournalRecord, RecordKind, TrainingLog


@dataclass(frozen=True, slots=True)
class Record:
    """One record; `names` and `values` for metrics, `event` for events, the lines of logs are read apart."""

    seq: int
    attempt: int
    kind: int
    time: float
    step: int | None
    epoch: int | None
    names: tuple[str, ...] = ()
    values: tuple[float, ...] = ()
    event: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """A job's newest record; every record repeats the attempt's last epoch and step, so it tells the progress."""

    seq: int
    attempt: int
    sender_no: int
    step: int | None
    epoch: int | None


@dataclass(frozen=True, slots=True)
class Columns:
    """Reports that share a list of names. Arrays of length n, `values` of shape (n, names); absent steps are -1."""

    names: tuple[str, ...]
    seq: NDArray[np.int64]
    attempt: NDArray[np.int64]
    step: NDArray[np.int64]
    epoch: NDArray[np.int64]
    time: NDArray[np.float64]
    values: NDArray[np.float64]


def records_after(
    job_id: int, seq: int, limit: int = 1000, kinds: Collection[RecordKind] | None = None
) -> list[Record]:
    """The next records past `seq`, in order, at most `limit`; of some kinds only, if told."""
    query = JournalRecord.objects.filter(job_id=job_id, seq__gt=seq).order_by("seq")
    if kinds is not None:
        query = query.filter(kind__in=kinds)
    found = list(query.values_list("seq", "attempt", "kind", "time", "step", "epoch", "names_id", "values")[:limit])
    lists = names_of({row[6] for row in found if row[6] is not None})
    return [_record(row, lists) for row in found]


def _record(row: tuple[Any, ...], lists: dict[int, tuple[str, ...]]) -> Record:
    seq, attempt, kind, time, step, epoch, names_id, values = row
    if kind == RecordKind.METRICS:
        names = lists[names_id]
        points = struct.unpack(f"<{len(names)}d", bytes(values))
        return Record(seq, attempt, kind, time, step, epoch, names, points)
    event = json.loads(bytes(values)) if kind == RecordKind.EVENT else None
    return Record(seq, attempt, kind, time, step, epoch, event=event)


def lines_after(job_id: int, seq: int, limit: int = 1000) -> list[TrainingLog]:
    """The next log lines of records past `seq`, in order, at most `limit`."""
    return list(TrainingLog.objects.filter(job_id=job_id, seq__gt=seq).order_by("seq", "n")[:limit])


def heads(job_ids: Sequence[int]) -> dict[int, Head]:
    """The newest record of each job that has one."""
    return {row[0]: Head(row[1], row[2], row[3], row[4], row[5]) for row in newest(job_ids)}


def metric_columns(
    job_id: int, names: Collection[str] | None = None, after: int = 0, until: int | None = None
) -> list[Columns]:
    """All reports in (after, until], one block for each list of names; only lists that hold one of `names`, if told."""
    where, params = "job_id = %s AND seq > %s AND kind = %s", [job_id, after, int(RecordKind.METRICS)]
    if until is not None:
        where, params = f"{where} AND seq <= %s", [*params, until]
    with connection.cursor() as cursor:
        cursor.execute(
            'SELECT names_id, seq, attempt, step, epoch, time, "values" FROM training_journalrecord '
            f"WHERE {where} ORDER BY seq",
            params,
        )
        by_list: dict[int, list[tuple[Any, ...]]] = {}
        for row in cursor.fetchall():
            by_list.setdefault(row[0], []).append(row)
    lists = names_of(by_list.keys())
    return [
        _columns(lists[key], block)
        for key, block in by_list.items()
        if names is None or not set(names).isdisjoint(lists[key])
    ]


def _columns(names: tuple[str, ...], block: list[tuple[Any, ...]]) -> Columns:
    _, seq, attempt, step, epoch, time, values = zip(*block, strict=True)
    return Columns(
        names,
        np.array(seq, np.int64),
        np.array(attempt, np.int64),
        np.array([-1 if value is None else value for value in step], np.int64),
        np.array([-1 if value is None else value for value in epoch], np.int64),
        np.array(time, np.float64),
        np.frombuffer(b"".join(map(bytes, values)), "<f8").reshape(len(block), len(names)),
    )


Row = tuple[int, int, int, int | None, int | None, float, bytes | memoryview]


def metric_rows(job_id: int, after: int, limit: int) -> list[Row]:
    """The next `limit` reports past `after`, in order: (names_id, seq, attempt, step, epoch, time, packed values)."""
    reports = JournalRecord.objects.filter(job_id=job_id, seq__gt=after, kind=RecordKind.METRICS).order_by("seq")
    return list(reports.values_list("names_id", "seq", "attempt", "step", "epoch", "time", "values")[:limit])


def metric_lists(job_id: int) -> dict[int, tuple[str, ...]]:
    """Every list of names that a job has reported, by its id."""
    reports = JournalRecord.objects.filter(job_id=job_id, kind=RecordKind.METRICS)
    return names_of(set(reports.order_by("names_id").values_list("names_id", flat=True).distinct()))
