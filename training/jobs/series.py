"""Metric series for charts: columns as strict JSON, condensed to envelopes where there are too many points."""

import json
import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.journal.names import names_of
from training.journal.reader import Columns, Record, heads, metric_columns
from training.journal.rollup import rolled_up
from training.journal.window import Line, Window, window_lines
from training.models import JobAttempt, MetricSeries
from training.models.journal import JournalRecord, RecordKind

MAX_POINTS = 2000  # numbers of one series in an answer: 1,000 buckets of lowest and highest
BOARD = 40_000  # buckets of all series together in an answer
MANY = BOARD // 100  # series, above which an answer for all of them would hold too little of each
FAR = 4096  # records


def job_series(
    job_id: int, after: int = 0, names: Collection[str] | None = None, limit: int = MAX_POINTS
) -> dict[str, Any]:
    """Everything that a board of charts needs past `after`; `seq` says how far it reaches.

    A block is `{attempt, names, seq, step, epoch, time, values}` with one list
    per name in `values`. A condensed one has means in `values`, and `low`,
    `high` and `bad` (how many values of the bucket were not finite) beside it.
    """
    if limit == MAX_POINTS and not after and rolled_up(job_id):
        return window_series(job_id, names, Window(), _share(job_id, names))
    head = heads([job_id]).get(job_id)
    columns = metric_columns(job_id, names, after)
    reached = max([head.seq if head else 0, after, *(int(block.seq[-1]) for block in columns)])
    blocks = [part for block in columns for part in _parts(_only(block, names), limit)]
    return {"job": job_id, "seq": reached, "attempts": _attempts_json(job_id), "blocks": blocks}


def board_series(job_id: int, after: int = 0) -> dict[str, Any]:
    """What a page's charts begin with, or go on with past `after`.

    Of a job with more than MANY series it is their `names` alone, for each chart to ask for its own when it is looked
    at; past `after` it is so only where that is far back, and then the page has to forget what it held.
    """
    head = heads([job_id]).get(job_id)
    reached = head.seq if head else 0
    if after and reached - after <= FAR:
        return job_series(job_id, after)
    names = _names(job_id)
    if len(names) <= MANY:
        return job_series(job_id, after)
    return {"job": job_id, "seq": reached, "attempts": _attempts_json(job_id), "blocks": [], "names": names}


def _names(job_id: int) -> list[str]:
    """Every metric of a job: those rolled up, and those of the records since."""
    rolled = MetricSeries.objects.filter(job_id=job_id).values_list("name", flat=True)
    since = JournalRecord.objects.filter(job_id=job_id, seq__gt=rolled_up(job_id), kind=RecordKind.METRICS)
    lists = names_of(set(since.order_by("names_id").values_list("names_id", flat=True).distinct()))
    return sorted({*rolled, *(name for names in lists.values() for name in names)})


def window_series(job_id: int, names: Collection[str] | None, window: Window, most: int) -> dict[str, Any]:
    """What a chart draws of a window, in the same form: at most `most` buckets of each series, at the same cost always.

    `seq` is the journal's head as it was before: what comes past it may be appended.
    """
    head = heads([job_id]).get(job_id)
    reached = head.seq if head else 0
    blocks = _line_blocks(window_lines(job_id, names, window, most), reached)
    return {"job": job_id, "seq": reached, "attempts": _attempts_json(job_id), "blocks": blocks}


def record_blocks(records: Iterable[Record]) -> list[dict[str, Any]]:
    """The metrics among `records`, in the same form; one block for each attempt and list of names."""
    groups: dict[tuple[int, tuple[str, ...]], list[Record]] = {}
    for record in records:
        if record.kind == RecordKind.METRICS:
            groups.setdefault((record.attempt, record.names), []).append(record)
    return [_record_block(attempt, names, group) for (attempt, names), group in groups.items()]


def _line_blocks(lines: Iterable[Line], reached: int) -> list[dict[str, Any]]:
    """A block for all lines whose buckets stand at the same places; envelopes, unless every bucket is a point."""
    groups: dict[tuple[Any, ...], list[Line]] = {}
    for line in lines:
        places = tuple(line.buckets[name].tobytes() for name in ("high_step", "high_epoch", "high_time"))
        groups.setdefault((line.attempt, line.exact, line.seq.tobytes(), *places), []).append(line)
    return [_line_block(group, reached) for group in groups.values()]


def _line_block(group: Sequence[Line], reached: int) -> dict[str, Any]:
    first = group[0]
    block = {
        "attempt": first.attempt,
        "names": [line.name for line in group],
        "seq": np.minimum(first.seq, reached).tolist(),
        "step": first.buckets["high_step"].tolist(),
        "epoch": first.buckets["high_epoch"].tolist(),
        "time": np.round(first.buckets["high_time"], 3).tolist(),
        "values": [_means(line) for line in group],
    }
    if not first.exact:
        block["low"] = [_bounds(line, "low") for line in group]
        block["high"] = [_bounds(line, "high") for line in group]
        block["bad"] = [_nonfinite(line) for line in group]
    return block


def _means(line: Line) -> list[float | str]:
    """The mean of each bucket's finite values; where there are none, the kind of what is there."""
    found = line.buckets
    with np.errstate(over="ignore"):
        mean = found["sum"] / np.maximum(found["count"], 1)
    nothing = found["count"] == 0
    mean[nothing & (found["positive"] > 0)] = np.inf
    mean[nothing & (found["negative"] > 0)] = -np.inf
    mean[nothing & (found["nan"] > 0)] = np.nan
    return [strict(value) for value in mean.tolist()]


def _nonfinite(line: Line) -> list[int]:
    found = line.buckets
    return (found["nan"] + found["positive"] + found["negative"]).tolist()


def _bounds(line: Line, name: str) -> list[float | str]:
    """Lowest or highest; "NaN" where nothing is finite."""
    return [strict(value) for value in np.where(line.buckets["count"] > 0, line.buckets[name], np.nan).tolist()]


def strict(value: float) -> float | str:
    """A number that JSON can hold; "NaN", "Infinity" or "-Infinity" for what it can't."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def strict_dumps(data: Any) -> str:
    """Compact JSON that every parser takes; raises ValueError rather than write NaN."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def _record_block(attempt: int, names: tuple[str, ...], group: Sequence[Record]) -> dict[str, Any]:
    return {
        "attempt": attempt,
        "names": names,
        "seq": [record.seq for record in group],
        "step": [-1 if record.step is None else record.step for record in group],
        "epoch": [-1 if record.epoch is None else record.epoch for record in group],
        "time": [record.time for record in group],
        "values": [[strict(value) for value in column] for column in zip(*(r.values for r in group), strict=True)],
    }


def _share(job_id: int, names: Collection[str] | None) -> int:
    """How many buckets of each series a whole board is given: enough for a small chart each."""
    series = MetricSeries.objects.filter(job_id=job_id)
    count = (series if names is None else series.filter(name__in=names)).count()
    return min(MAX_POINTS // 2, max(100, BOARD // max(1, count)))


def _attempts_json(job_id: int) -> list[dict[str, Any]]:
    attempts = JobAttempt.objects.filter(job_id=job_id).prefetch_related("checkpoints").order_by("number")
    return [_attempt_json(attempt) for attempt in attempts]


def _attempt_json(attempt: JobAttempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "resumed_step": attempt.resumed_step,
        "resumed_epoch": attempt.resumed_epoch,
        "total_steps": attempt.total_steps,
        "total_epochs": attempt.total_epochs,
        "opened": attempt.opened_at.timestamp(),
        "best_epoch": attempt.best_epoch,
        "checkpoints": [
            {"kind": one.kind, "step": one.step, "epoch": one.epoch, "time": one.created_at.timestamp()}
            for one in attempt.checkpoints.all()
        ],
    }


def _only(block: Columns, names: Collection[str] | None) -> Columns:
    if names is None:
        return block
    chosen = [index for index, name in enumerate(block.names) if name in names]
    kept = tuple(block.names[index] for index in chosen)
    return Columns(kept, block.seq, block.attempt, block.step, block.epoch, block.time, block.values[:, chosen])


def _parts(block: Columns, limit: int) -> Iterable[dict[str, Any]]:
    for attempt in np.unique(block.attempt):
        rows = np.flatnonzero(block.attempt == attempt)
        base = {"attempt": int(attempt), "names": block.names}
        if len(rows) <= limit:
            yield base | _positions(block, rows) | {"values": _lists(block.values[rows])}
        else:
            yield base | _condensed(block, rows, limit // 2)


def _condensed(block: Columns, rows: NDArray[np.intp], buckets: int) -> dict[str, Any]:
    """Lowest, highest and mean of equal shares of the reports: no spike disappears."""
    starts = np.linspace(0, len(rows), buckets, endpoint=False).astype(np.intp)
    lasts = rows[np.append(starts[1:], len(rows)) - 1]
    values = block.values[rows]
    finite = np.isfinite(values)
    count = np.add.reduceat(finite, starts, axis=0, dtype=np.int64)
    size = np.diff(np.append(starts, len(rows)))[:, None]
    low = np.minimum.reduceat(np.where(finite, values, np.inf), starts, axis=0)
    high = np.maximum.reduceat(np.where(finite, values, -np.inf), starts, axis=0)
    with np.errstate(invalid="ignore", over="ignore"):
        mean = np.add.reduceat(np.where(finite, values, 0.0), starts, axis=0) / np.maximum(count, 1)
    nothing = count == 0
    for array in (low, high, mean):
        array[nothing] = np.nan
    parts = {"values": _lists(mean), "low": _lists(low), "high": _lists(high), "bad": (size - count).T.tolist()}
    return _positions(block, lasts) | parts


def _positions(block: Columns, rows: NDArray[np.intp]) -> dict[str, list[Any]]:
    return {
        "seq": block.seq[rows].tolist(),
        "step": block.step[rows].tolist(),
        "epoch": block.epoch[rows].tolist(),
        "time": np.round(block.time[rows], 3).tolist(),
    }


def _lists(values: NDArray[np.float64]) -> list[list[float | str]]:
    if np.isfinite(values).all():
        return values.T.tolist()
    return [[strict(value) for value in column] for column in values.T.tolist()]
