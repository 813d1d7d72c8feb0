"""Watching a run's metrics: the first value that is no number, and how long the primary metric has not got better.

Only effective points count, of attempts since a person last asked for a run. Points may come late and twice:
the first NaN is the first of the journal, and patience counts epochs, not reports.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from training.jobs.effective import attempt_limits, effective_mask
from training.jobs.failures import Cause
from training.jobs.stopping import stop_early, stopping_early
from training.jobs.transition import job_move
from training.journal.reader import Columns
from training.journal.writer import append_event
from training.models import ErrorType, JobAttempt, JobState, JobWatch, TrainingJob
from training.said import said_lazily
from training.trainers import Trainer, trainers_all

STOPPABLE = (JobState.CLAIMED, JobState.RUNNING)
SYSTEM = "system/"  # what the supervisor says of the machine: not the trainer's word
Attempts = Sequence[JobAttempt]


def patterns_read(text: str) -> list[str]:
    """The patterns of `watched_metrics`."""
    return [part.strip() for part in text.split(",") if part.strip()]


def is_watched(name: str, patterns: Sequence[str]) -> bool:
    """Whether a metric's values have to be numbers."""
    if patterns:
        return any(fnmatchcase(name, pattern) for pattern in patterns)
    return not name.startswith(SYSTEM)


def watch_begin(watch: JobWatch, attempts: Attempts) -> None:
    """Begin anew where other points count than before: an attempt began or resumed, or a person asked to go on."""
    resumed = [[one.number, one.resumed_step, one.resumed_epoch] for one in attempts]
    digest = hashlib.sha256(json.dumps([resumed, watch.after_attempt]).encode()).hexdigest()[:16]
    if digest != watch.resumed:
        watch.resumed, watch.seq, watch.streaks = digest, 0, {}
        watch.nan_metric = watch.nan_value = ""
        watch.nan_attempt = watch.nan_step = watch.nan_epoch = watch.nan_seq = None
        watch.best = watch.best_at = watch.latest_at = None


def watch_counted(watch: JobWatch, attempts: Attempts, blocks: Sequence[Columns]) -> list[Columns]:
    """The points among `blocks` that count."""
    limits = attempt_limits(attempts)
    counted = []
    for block in blocks:
        mask = effective_mask(block, limits)
        mask &= (block.attempt > watch.after_attempt) | (watch.after_attempt == 0)
        if mask.any():
            where = block.step[mask], block.epoch[mask], block.time[mask]
            counted.append(Columns(block.names, block.seq[mask], block.attempt[mask], *where, block.values[mask]))
    return counted


def watch_see(watch: JobWatch, job: TrainingJob, blocks: Sequence[Columns]) -> None:
    """Enter more points that count, the next of the journal."""
    if watch.nan_seq is None:
        _odd_find(watch, patterns_read(job.watched_metrics), blocks)
    if job.patience and (primary := _primary(job)):
        direction = _trainer(job).directions.get(primary, "max")
        for epoch, value in _points(blocks, primary):
            _progress_see(watch, epoch, value if direction == "max" else -value)


def watch_act(watch: JobWatch, job: TrainingJob) -> bool:
    """Tell of what was found, and end or stop the run if asked; whether anything was. The caller locks and saves."""
    told = False
    if watch.nan_seq is not None and watch.told_nan < watch.nan_seq:
        watch.told_nan, told = watch.nan_seq, True
        said = {"type": "nan", "title": f"{watch.nan_metric} became {watch.nan_value}", "text": nan_place(watch)}
        append_event(job.pk, {**said, "metric": watch.nan_metric, "value": watch.nan_value})
    if watch.nan_seq is not None and job.stop_at_nan and job.state in STOPPABLE:
        message = f"{watch.nan_metric} became {watch.nan_value} at {nan_place(watch)}."
        fields = {"error_type": ErrorType.FRAMEWORK_ERROR, "error_code": Cause.NOT_FINITE, "error_message": message}
        job_move(job, JobState.FAILED, "server", message[:300], **fields)
        return True
    if job.patience and job.state == JobState.RUNNING and job.stop_attempt != job.attempt:
        waited = (watch.latest_at or 0) - (watch.best_at or 0)
        if watch.best_at is not None and waited >= job.patience:
            once = f"{_primary(job)} has not got better for 1 epoch"
            stop_early(job, watch, once if waited == 1 else f"{_primary(job)} has not got better for {waited} epochs")
            return True
    return told


def nan_place(watch: JobWatch) -> str:
    """Where the first value that is no number stands, in words."""
    parts = [f"epoch {watch.nan_epoch}"] if watch.nan_epoch is not None else []
    parts += [f"step {watch.nan_step}"] if watch.nan_step is not None else []
    parts += [f"attempt {watch.nan_attempt}"] if (watch.nan_attempt or 0) > 1 else []
    return ", ".join(parts) or "its beginning"


def _odd_find(watch: JobWatch, patterns: Sequence[str], blocks: Sequence[Columns]) -> None:
    for block in blocks:
        places = [place for place, name in enumerate(block.names) if is_watched(name, patterns)]
        odd = ~np.isfinite(block.values[:, places])
        rows = np.flatnonzero(odd.any(axis=1))
        if not len(rows) or (watch.nan_seq is not None and block.seq[rows[0]] >= watch.nan_seq):
            continue
        row = rows[0]
        place = places[int(odd[row].argmax())]
        value = float(block.values[row, place])
        watch.nan_metric, watch.nan_value = block.names[place], "NaN" if np.isnan(value) else "∞" if value > 0 else "-∞"
        watch.nan_seq, watch.nan_attempt = int(block.seq[row]), int(block.attempt[row])
        watch.nan_step, watch.nan_epoch = _known(block.step[row]), _known(block.epoch[row])


def _points(blocks: Sequence[Columns], name: str) -> Iterator[tuple[int, float]]:
    """(epoch or -1, value) of one metric, in the journal's order."""
    found = [
        (int(seq), int(epoch), float(value))
        for block in blocks
        if name in block.names
        for seq, epoch, value in zip(block.seq, block.epoch, block.values[:, block.names.index(name)], strict=True)
    ]
    yield from ((epoch, value) for _, epoch, value in sorted(found, key=lambda one: one[0]))


def _progress_see(watch: JobWatch, epoch: int, value: float) -> None:
    """One more value, the greater the better. Without epochs, each report is one."""
    at = epoch if epoch >= 0 else (watch.latest_at or 0) + 1
    watch.latest_at = at if watch.latest_at is None else max(watch.latest_at, at)
    if watch.best_at is None:
        watch.best_at = at
    if not np.isfinite(value):
        return
    if watch.best is None or value > watch.best:
        watch.best, watch.best_at = value, at
    elif value == watch.best:
        watch.best_at = min(watch.best_at, at)


def _trainer(job: TrainingJob) -> Trainer:
    return trainers_all()[job.trainer]


def _primary(job: TrainingJob) -> str:
    trainer = trainers_all().get(job.trainer)
    return trainer.primary(job.task_type) if trainer else ""


def _known(number: np.int64) -> int | None:
    return None if number < 0 else int(number)


@dataclass(frozen=True, slots=True)
class WatchShown:
    """What a page says of what was found."""

    metric: str
    value: str
    place: str
    stopping: str


def watch_shown(job: TrainingJob) -> WatchShown | None:
    """The first value that is no number, and why the run is being stopped early; None if there is neither."""
    watch = JobWatch.objects.filter(job=job).first()
    if watch is None:
        return None
    stopping = watch.reason if stopping_early(job, job.attempt) and job.state in STOPPABLE else ""
    if watch.nan_seq is None and not stopping:
        return None
    return WatchShown(watch.nan_metric, watch.nan_value, said_lazily(nan_place(watch)), said_lazily(stopping))
