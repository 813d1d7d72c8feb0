"""The summaries that tables show of each metric: a follower of the journal, committed together with its cursor.

Only effective points count. Which those are changes when a later attempt begins
or resumes, so the attempts' resume points are part of the follower's name: when
they change, a new follower begins anew and its first batch replaces the rows.
"""

import hashlib
import json
from collections.abc import Sequence

import numpy as np
from django.db import transaction
from numpy.typing import NDArray

from training.jobs.effective import Limit, attempt_limits, effective_mask
from training.journal.reader import Columns, heads, metric_columns
from training.journal.rows import write_turn
from training.models import FollowerCursor, JobAttempt, MetricSummary, TrainingJob
from training.trainers import trainers_all

Mask = NDArray[np.bool_]
Points = tuple[NDArray[np.float64], NDArray[np.int64]]
RECORDS = 2000  # in one transaction
FIGURES = ("count", "nonfinite", "first", "latest", "minimum", "maximum", "total", "best", "best_epoch")


def summary_update(job: TrainingJob) -> int:
    """Bring the job's summaries to the journal's end; how many records were new."""
    attempts = list(JobAttempt.objects.filter(job=job).order_by("number"))
    resumed = [[one.number, one.resumed_step, one.resumed_epoch] for one in attempts]
    follower = f"summary:{hashlib.sha256(json.dumps(resumed).encode()).hexdigest()[:16]}"
    trainer = trainers_all().get(job.trainer)
    directions = trainer.directions if trainer else {}
    FollowerCursor.objects.get_or_create(follower=follower, job_id=job.pk)
    limits, total = attempt_limits(attempts), 0
    while count := _next_block(follower, limits, directions, job.pk):
        total += count
    return total


def _next_block(follower: str, limits: dict[int, Limit], directions: dict[str, str], job_id: int) -> int:
    """Read outside of the transaction: it is short, and those who commit reports hardly wait for it."""
    cursor = FollowerCursor.objects.filter(follower=follower, job_id=job_id)
    begun, head = cursor.values_list("seq", flat=True).first() or 0, heads([job_id]).get(job_id)
    if head is None or head.seq <= begun:
        return 0
    until = min(head.seq, begun + RECORDS)
    points = _points(metric_columns(job_id, after=begun, until=until), limits)
    with write_turn(), transaction.atomic():
        if cursor.filter(seq=begun).update(seq=until):  # else another process was quicker
            _store(follower, job_id, points, directions, anew=begun == 0)
    return until - begun


def _store(follower: str, job_id: int, points: dict[str, Points], directions: dict[str, str], anew: bool) -> None:
    if anew:
        MetricSummary.objects.filter(job_id=job_id).delete()
        older = FollowerCursor.objects.filter(job_id=job_id, follower__startswith="summary:")
        older.exclude(follower=follower).delete()
    summaries = {row.name: row for row in MetricSummary.objects.filter(job_id=job_id, name__in=points)}
    for name, (values, epochs) in points.items():
        summary = summaries.setdefault(name, MetricSummary(job_id=job_id, name=name))
        _add(summary, values, epochs, directions.get(name, ""))
    MetricSummary.objects.bulk_create(
        summaries.values(), update_conflicts=True, unique_fields=["job", "name"], update_fields=FIGURES
    )


def _points(blocks: Sequence[Columns], limits: dict[int, Limit]) -> dict[str, Points]:
    """The effective values of each metric and their epochs, in the journal's order."""
    parts: dict[str, list[tuple[Columns, Mask, int]]] = {}
    for columns in blocks:
        mask = effective_mask(columns, limits)
        for index, name in enumerate(columns.names if mask.any() else ()):
            parts.setdefault(name, []).append((columns, mask, index))
    points = {}
    for name, found in parts.items():
        order = np.argsort(np.concatenate([columns.seq[mask] for columns, mask, _ in found]), kind="stable")
        values = np.concatenate([columns.values[mask, index] for columns, mask, index in found])
        epochs = np.concatenate([columns.epoch[mask] for columns, mask, _ in found])
        points[name] = values[order], epochs[order]
    return points


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
