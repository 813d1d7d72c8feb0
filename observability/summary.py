"""The summaries that tables show of each metric: a follower of the journal, committed together with its cursor.

Only effective points count. Which those are changes when a later attempt begins
or resumes, so the attempts' resume points are part of the follower's name: when
they change, a new follower begins anew and its first batch replaces the rows.
"""

import hashlib
import json
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from training.jobs.effective import Limit, attempt_limits, effective_mask
from training.journal.follower import follow
from training.journal.reader import Columns, Record
from training.journal.rows import write_turn
from training.models import FollowerCursor, JobAttempt, MetricSummary, RecordKind, TrainingJob
from training.trainers import trainers_all

Mask = NDArray[np.bool_]
Points = tuple[NDArray[np.float64], NDArray[np.int64]]
RECORDS = 500  # in one transaction
FIGURES = ("count", "nonfinite", "first", "latest", "minimum", "maximum", "total", "best", "best_epoch")


def summary_update(job: TrainingJob) -> int:
    """Bring the job's summaries to the journal's end; how many records were new."""
    attempts = list(JobAttempt.objects.filter(job=job).order_by("number"))
    resumed = [[one.number, one.resumed_step, one.resumed_epoch] for one in attempts]
    follower = f"summary:{hashlib.sha256(json.dumps(resumed).encode()).hexdigest()[:16]}"
    trainer = trainers_all().get(job.trainer)
    directions = trainer.directions if trainer else {}
    take, total = partial(_take, follower, attempt_limits(attempts), directions), 0
    while True:
        with write_turn():  # in short turns: those who commit reports wait for the same lock
            count = follow(follower, job.pk, take, RECORDS)
        total += count
        if count < RECORDS:
            return total


def _take(
    follower: str, limits: dict[int, Limit], directions: dict[str, str], job_id: int, records: Sequence[Record]
) -> None:
    if not FollowerCursor.objects.filter(follower=follower, job_id=job_id, seq__gt=0).exists():
        MetricSummary.objects.filter(job_id=job_id).delete()
        older = FollowerCursor.objects.filter(job_id=job_id, follower__startswith="summary:")
        older.exclude(follower=follower).delete()
    points = _points(records, limits)
    summaries = {row.name: row for row in MetricSummary.objects.filter(job_id=job_id, name__in=points)}
    for name, (values, epochs) in points.items():
        summary = summaries.setdefault(name, MetricSummary(job_id=job_id, name=name))
        _add(summary, values, epochs, directions.get(name, ""))
    MetricSummary.objects.bulk_create(
        summaries.values(), update_conflicts=True, unique_fields=["job", "name"], update_fields=FIGURES
    )


def _points(records: Sequence[Record], limits: dict[int, Limit]) -> dict[str, Points]:
    """The effective values of each metric and their epochs, in the journal's order."""
    blocks: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        if record.kind == RecordKind.METRICS:
            blocks.setdefault(record.names, []).append(record)
    parts: dict[str, list[tuple[Columns, Mask, int]]] = {}
    for listed, block in blocks.items():
        columns = _columns(listed, block)
        mask = effective_mask(columns, limits)
        for index, name in enumerate(listed if mask.any() else ()):
            parts.setdefault(name, []).append((columns, mask, index))
    points = {}
    for name, found in parts.items():
        order = np.argsort(np.concatenate([columns.seq[mask] for columns, mask, _ in found]), kind="stable")
        values = np.concatenate([columns.values[mask, index] for columns, mask, index in found])
        epochs = np.concatenate([columns.epoch[mask] for columns, mask, _ in found])
        points[name] = values[order], epochs[order]
    return points


def _columns(names: tuple[str, ...], block: Sequence[Record]) -> Columns:
    return Columns(
        names,
        np.array([record.seq for record in block], np.int64),
        np.array([record.attempt for record in block], np.int64),
        np.array([-1 if record.step is None else record.step for record in block], np.int64),
        np.array([-1 if record.epoch is None else record.epoch for record in block], np.int64),
        np.array([record.time for record in block], np.float64),
        np.array([record.values for record in block], np.float64).reshape(len(block), len(names)),
    )


def _add(summary: MetricSummary, values: NDArray[np.float64], epochs: NDArray[np.int64], direction: str) -> None:
    """Enter values, in order, into a summary; the non-finite ones are only counted."""
    finite = np.isfinite(values)
    summary.count += len(values)
    summary.nonfinite += int(len(values) - finite.sum())
    values, epochs = values[finite], epochs[finite]
    if not len(values):
        return
    lowest, highest = float(values.min()), float(values.max())
    summary.first = float(values[0]) if summary.first is None else summary.first
    summary.latest = float(values[-1])
    summary.minimum = lowest if summary.minimum is None else min(summary.minimum, lowest)
    summary.maximum = highest if summary.maximum is None else max(summary.maximum, highest)
    with np.errstate(over="ignore"):
        summary.total += float(values.sum())
    if direction in ("min", "max"):
        place = int(values.argmin() if direction == "min" else values.argmax())
        best = float(values[place])
        if summary.best is None or (best < summary.best if direction == "min" else best > summary.best):
            summary.best, summary.best_epoch = best, _epoch(int(epochs[place]))


def _epoch(number: int) -> int | None:
    return None if number < 0 else number
