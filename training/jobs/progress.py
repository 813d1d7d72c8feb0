"""How far a job is, how long it may still take, and whether its trainer is heard of."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from training.journal.reader import Head
from training.models import JobAttempt, JobState, JournalRecord, RecordKind, TrainingJob

ACTIVE = frozenset({JobState.CLAIMED, JobState.RUNNING, JobState.FINALIZING, JobState.CANCELLING, JobState.LOST})
DOWNLOADED = (("files", "of"), ("of", "of"), ("bytes", "of_bytes"), ("of_bytes", "of_bytes"))
RECENT = 300  # records that the present rate is taken from


@dataclass(frozen=True, slots=True)
class Progress:
    """`fraction` from 0 to 1, None while unknown; `remaining` in seconds, None where it can't be told."""

    fraction: float | None = None
    epoch: int | None = None
    total_epochs: int | None = None
    step: int | None = None
    total_steps: int | None = None
    remaining: float | None = None

    @property
    def percent(self) -> int:
        """Whole percent, rounded down: 100 means done."""
        return int(100 * (self.fraction or 0))

    @property
    def permille(self) -> int:
        return int(1000 * (self.fraction or 0))


@dataclass(frozen=True, slots=True)
class Download:
    """How far a trainer is with the download of its data."""

    files: int
    of: int
    bytes: int
    of_bytes: int

    @property
    def percent(self) -> int:
        """By size, as that is what takes the time; whole, rounded down."""
        return 100 * self.bytes // self.of_bytes if self.of_bytes else 100 * self.files // self.of


def download_told(said: dict[str, int] | None) -> Download | None:
    """What an attempt said of its download; None before it begins and once all is there."""
    if not said or said.get("files", 0) >= said.get("of", 0):
        return None
    return Download(*(min(said.get(name, 0), said.get(most, 0)) for name, most in DOWNLOADED))


def job_progress(job: TrainingJob, attempt: JobAttempt | None, head: Head | None, estimate: bool = True) -> Progress:
    """The progress of a job's newest attempt; with the time left at its recent rate (one query) if `estimate`."""
    if attempt is None or head is None or head.attempt != attempt.number:
        return Progress(fraction=1.0 if job.state == JobState.COMPLETED else None)
    fraction = _fraction(attempt, head.step, head.epoch)
    remaining = None
    if job.state == JobState.COMPLETED:
        fraction = 1.0
    elif estimate and job.state == JobState.RUNNING and fraction:
        remaining = _remaining(attempt, head, fraction)
    return Progress(fraction, head.epoch, attempt.total_epochs, head.step, attempt.total_steps, remaining)


def remaining_each(running: Sequence[tuple[JobAttempt, Head]]) -> dict[int, float]:
    """The seconds that running jobs may still take, by job, with one query for all of them.

    Numbers of the journal have no gaps and each record repeats the progress, so
    the record to compare with is found by its number.
    """
    places = {attempt.job_id: max(1, head.seq - RECENT) for attempt, head in running}
    wanted = reduce(or_, (Q(job_id=job_id, seq=seq) for job_id, seq in places.items()), Q())
    found = JournalRecord.objects.filter(wanted).values_list("job_id", "attempt", "time", "step", "epoch")
    past = {row[0]: row[1:] for row in found} if places else {}
    left = {}
    for attempt, head in running:
        fraction, then = _fraction(attempt, head.step, head.epoch), past.get(attempt.job_id)
        if fraction:
            of_attempt = then[1:] if then and then[0] == attempt.number else None
            if (seconds := _left(attempt, fraction, of_attempt)) is not None:
                left[attempt.job_id] = seconds
    return left


def silent_seconds(job: TrainingJob, attempt: JobAttempt | None) -> float | None:
    """For how long the trainer of a running job has not been heard of; None while that is not unusual."""
    if job.state not in (JobState.RUNNING, JobState.LOST) or attempt is None or attempt.heartbeat_at is None:
        return None
    age = (timezone.now() - attempt.heartbeat_at).total_seconds()
    return age if age > 2.5 * settings.HEARTBEAT_SECONDS else None


def _fraction(attempt: JobAttempt, step: int | None, epoch: int | None) -> float | None:
    if attempt.total_steps and step is not None:
        return min(1.0, step / attempt.total_steps)
    if attempt.total_epochs and epoch is not None:
        return min(1.0, epoch / attempt.total_epochs)
    return None


def _remaining(attempt: JobAttempt, head: Head, fraction: float) -> float | None:
    """By the rate since RECENT records ago, or else since the trainer started."""
    of_attempt = JournalRecord.objects.filter(job_id=attempt.job_id, attempt=attempt.number, kind=RecordKind.METRICS)
    past = of_attempt.filter(seq__gt=head.seq - RECENT).order_by("seq").values_list("time", "step", "epoch").first()
    return _left(attempt, fraction, past)


def _left(attempt: JobAttempt, fraction: float, past: Any) -> float | None:
    """By the rate since `past`, a (time, step, epoch), or else since the trainer started."""
    now = timezone.now().timestamp()
    before = _fraction(attempt, past[1], past[2]) if past else None
    if past and before is not None and fraction > before and now > past[0]:
        return (1 - fraction) * (now - past[0]) / (fraction - before)
    started = attempt.started_at or attempt.opened_at
    done = fraction - (_fraction(attempt, attempt.resumed_step, attempt.resumed_epoch) or 0.0)
    return (1 - fraction) * (now - started.timestamp()) / done if done > 0 else None
