"""What machines do to a job: claim it, say that it started, lives and has ended. Every call may come twice."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core import signing
from django.db.models import F
from django.db.models.functions import Now

from training.jobs.clock import now_plus
from training.jobs.failures import failure_named
from training.jobs.resume import checkpoint_after, going_on, place_of
from training.jobs.slots import slots_for, slots_free_locked, slots_label, slots_wanted
from training.jobs.states import ENDED
from training.jobs.stopping import stopping_early
from training.jobs.transition import job_locked, job_move
from training.jobs.turns import in_turn
from training.models import ErrorType, JobAttempt, JobState, Slot, TrainingJob, Worker

TOKEN_SALT = "training.attempt"
LOOKED_AT = 200  # waiting jobs that one claim looks at
_OF_A_RUN = "job__snapshot", "job__weights", "job__weights_from", "resumed_from"


class Conflict(Exception):
    """The attempt is over: a newer one runs (`stale_attempt`), or the job has ended (`terminal`)."""

    def __init__(self, error: str, state: str) -> None:
        super().__init__(error)
        self.error = error
        self.state = state


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended, in the words of the trainer or of its supervisor."""

    error_type: ErrorType
    message: str
    exit_code: int | None = None
    code: str = ""


def token_make(job_id: int, number: int) -> str:
    """The attempt's token: it opens this attempt's callbacks and nothing else."""
    return signing.dumps([job_id, number], salt=TOKEN_SALT, compress=False)


def token_read(token: str) -> tuple[int, int]:
    """(job id, attempt number) of a token. Raises signing.BadSignature."""
    job_id, number = signing.loads(token, salt=TOKEN_SALT)
    return int(job_id), int(number)


def job_claim_next(worker: Worker, queues: list[str]) -> JobAttempt | None:
    """Claim the job whose turn it is on this worker; None if none waits, no slot is free, or the worker drains.

    A job that this worker could run, but has too few free slots for, holds its place: none behind it is started here.
    """
    if Worker.objects.filter(pk=worker.pk).exclude(draining_at=None).exists():
        return None
    waiting = in_turn(queues).filter(validated_at__isnull=False)
    for job_id, config in waiting.values_list("id", "config")[:LOOKED_AT]:
        free, fitting = slots_for(worker, slots_wanted(config))
        if free:
            attempt = job_claim(job_id, worker)
            if attempt is not None:
                return attempt
        elif fitting:  # it holds its place: what comes after it could take the slots that it waits for, for ever
            return None
    return None


def job_claim(job_id: int, worker: Worker) -> JobAttempt | None:
    """Open the job's next attempt on the slots that it asks for, all at once.

    None if another was faster, too few slots of this worker are free, or it takes no more jobs.
    """
    with job_locked(job_id) as job:
        slots = slots_free_locked(worker, slots_wanted(job.config))
        if job.state != JobState.QUEUED or not slots:
            return None
        label = slots_label(slots)
        number = job.attempt + 1
        attempt = JobAttempt.objects.create(
            job=job,
            number=number,
            worker=worker,
            device=label,
            opened_at=Now(),
            lease_until=now_plus(settings.LEASE_SECONDS),
            **_resumed(job),
        )
        Slot.objects.filter(pk__in=[slot.pk for slot in slots]).update(attempt=attempt)
        job.attempt = number
        fields = {"attempt": number, "started_at": Now(), "ended_at": None}
        job_move(job, JobState.CLAIMED, "worker", _claim_reason(attempt, label), worker.name, **fields)
    return JobAttempt.objects.select_related(*_OF_A_RUN, "worker").get(pk=attempt.pk)


def _resumed(job: TrainingJob) -> dict[str, Any]:
    """What an attempt keeps of the checkpoint that it goes on from."""
    start = job.resume_from
    return {"resumed_from": start, "resumed_epoch": start.epoch, "resumed_step": start.step} if start else {}


def _claim_reason(attempt: JobAttempt, label: str) -> str:
    if attempt.resumed_from:
        return f"attempt {attempt.number} on {label}, resuming {place_of(attempt.resumed_from)}"
    return f"attempt {attempt.number} on {label}"


def attempt_started(job_id: int, number: int, said: dict[str, Any]) -> TrainingJob:
    """The trainer has started. A repeat may tell what was not known before, such as the steps. Raises Conflict."""
    with job_locked(job_id) as job:
        attempt = _attempt_open(job, number)
        _attempt_note(attempt, said)
        JobAttempt.objects.filter(pk=attempt.pk, started_at=None).update(started_at=Now(), heartbeat_at=Now())
        if job.state == JobState.CLAIMED:
            job_move(job, JobState.RUNNING, "trainer", "the trainer has started")
    return job


def attempt_get(job_id: int, number: int) -> JobAttempt:
    """The attempt with its job and snapshot, if it may still speak. Raises Conflict."""
    found = JobAttempt.objects.select_related(*_OF_A_RUN).filter(job_id=job_id, number=number).first()
    if found is None or found.job.attempt != number:
        raise Conflict("stale_attempt", found.job.state if found else "")
    return _attempt_live(found.job, found)


def attempt_heartbeat(
    job_id: int, number: int, cancel_seen: bool = False, download: dict[str, int] | None = None
) -> tuple[TrainingJob, JobAttempt]:
    """The trainer lives. A lost job is running again, if no newer attempt exists. Raises Conflict.

    `download` says how far its data are, where it downloads some.
    """
    with job_locked(job_id) as job:
        attempt = _attempt_open(job, number)
        fields: dict[str, Any] = {"heartbeat_at": Now()}
        if job.state == JobState.LOST:
            fields["lease_until"] = now_plus(settings.LEASE_SECONDS)
            job_move(job, JobState.RUNNING, "trainer", "the trainer is back")
        if download is not None:
            fields["download"] = download
        if cancel_seen and attempt.cancel_seen_at is None:
            fields["cancel_seen_at"] = Now()
        JobAttempt.objects.filter(pk=attempt.pk).update(**fields)
        attempt.refresh_from_db()
    return job, attempt


def attempt_totals(job_id: int, number: int, epochs: int | None, steps: int | None) -> None:
    """How much there is to do, where the trainer says it only on the way."""
    totals = {key: value for key, value in (("total_epochs", epochs), ("total_steps", steps)) if value is not None}
    if totals:
        JobAttempt.objects.filter(job_id=job_id, number=number).exclude(**totals).update(**totals)


def attempt_completed(job_id: int, number: int, said: dict[str, Any]) -> TrainingJob:
    """The trainer has done its work; the job is finalizing. A repeat gives the same answer. Raises Conflict."""
    with job_locked(job_id) as job:
        if job.attempt == number and job.state == JobState.COMPLETED:
            return job
        attempt = _attempt_open(job, number)
        _attempt_note(attempt, said)
        _finalize(job, attempt, "trainer", "the trainer has completed")
    return job


def attempt_stopped_early(job_id: int, number: int) -> bool:
    """The process of an attempt that was asked to stop early is gone: its job is finalizing, if it was running."""
    with job_locked(job_id) as job:
        if (
            job.attempt != number
            or not stopping_early(job, number)
            or job.state not in (JobState.RUNNING, JobState.LOST)
        ):
            return False
        _finalize(job, _attempt_open(job, number), "supervisor", "the trainer was ended, to stop early")
    return True


def _finalize(job: TrainingJob, attempt: JobAttempt, by: str, reason: str) -> None:
    if job.state == JobState.CLAIMED:
        job_move(job, JobState.RUNNING, "trainer", "the trainer has started")
    if job.state == JobState.LOST:
        job_move(job, JobState.RUNNING, "trainer", "the trainer is back")
    if job.state == JobState.RUNNING:
        job_move(job, JobState.FINALIZING, by, reason)
        # finalizing has its own clock, so the lease covers it whole
        lease = now_plus(settings.FINALIZE_SECONDS + settings.LEASE_SECONDS)
        JobAttempt.objects.filter(pk=attempt.pk).update(lease_until=lease, completed_at=Now())


def attempt_failed(
    job_id: int, number: int, ending: Ending, by: str, said: dict[str, Any] | None = None
) -> TrainingJob:
    """The attempt has failed: the first who says so closes it, later words change nothing. Raises Conflict."""
    with job_locked(job_id) as job:
        if job.attempt == number and job.state in ENDED:
            return job
        attempt = _attempt_open(job, number)
        _attempt_note(attempt, {"exit_code": ending.exit_code, **(said or {})})
        if job.state == JobState.CANCELLING:
            if by != "trainer":
                job_move(job, JobState.CANCELLED, by, "stopped on request", error_type=ErrorType.CANCELLED)
            return job
        if job.state == JobState.LOST:
            job_move(job, JobState.RUNNING, "trainer", "the trainer is back")
        kind, cause = failure_named(ending.error_type, ending.message, ending.code)
        fields = {"error_type": kind, "error_code": cause, "error_message": ending.message}
        job_move(job, JobState.FAILED, by, ending.message.splitlines()[0][:300] if ending.message else "", **fields)
    return job


def attempt_cancelled(job_id: int, number: int, by: str) -> TrainingJob:
    """The process of a job that was to be cancelled is gone. Raises Conflict."""
    with job_locked(job_id) as job:
        if job.attempt == number and job.state in ENDED:
            return job
        _attempt_open(job, number)
        if job.state == JobState.CANCELLING:
            job_move(job, JobState.CANCELLED, by, "stopped on request", error_type=ErrorType.CANCELLED)
    return job


def attempt_cancelled_said(job_id: int, number: int, said: dict[str, Any]) -> TrainingJob:
    """The trainer says that it stops. The job is cancelled once its process is gone. Raises Conflict."""
    with job_locked(job_id) as job:
        if job.attempt == number and job.state in ENDED:
            return job
        attempt = _attempt_open(job, number)
        _attempt_note(attempt, said)
        if job.state == JobState.CANCELLING:
            JobAttempt.objects.filter(pk=attempt.pk, cancel_seen_at=None).update(cancel_seen_at=Now())
            return job
        if stopping_early(job, number):
            _finalize(job, attempt, "trainer", "the trainer has stopped early")
            return job
    ending = Ending(ErrorType.CANCELLED, "The trainer stopped by itself.")
    return attempt_failed(job_id, number, ending, "trainer", said)


def attempt_hand_back(job_id: int, number: int, reason: str) -> None:
    """A worker that shuts down gives its job back; its process is gone."""
    with job_locked(job_id) as job:
        if job.attempt == number and job.state in (JobState.CLAIMED, JobState.RUNNING, JobState.LOST):
            attempt = JobAttempt.objects.get(job=job, number=number)
            start = checkpoint_after(job, attempt)
            # Nothing was lost: it does not count.
            fields: dict[str, Any] = {"resume_from": start, "granted_from": job.granted_from + 1}
            job_move(job, JobState.QUEUED, "worker", f"{reason}; {going_on(start)}", **fields)
        elif job.attempt == number and job.state == JobState.CANCELLING:
            job_move(job, JobState.CANCELLED, "supervisor", reason, error_type=ErrorType.CANCELLED)


def attempt_renew(attempt: JobAttempt) -> JobState | None:
    """Renew the attempt's lease; the job's state, or None if this attempt is over."""
    current = JobAttempt.objects.filter(pk=attempt.pk, ended_at=None, job__attempt=F("number"))
    if not current.update(lease_until=now_plus(settings.LEASE_SECONDS)):
        return None
    with job_locked(attempt.job_id) as job:
        if job.attempt == attempt.number and job.state == JobState.LOST:
            job_move(job, JobState.RUNNING, "trainer", "its worker is back")
        return JobState(job.state)


def slot_release(attempt: JobAttempt) -> None:
    """The process is gone: its slots are free, whatever became of the job."""
    Slot.objects.filter(attempt=attempt).update(attempt=None)


def _attempt_open(job: TrainingJob, number: int) -> JobAttempt:
    """The attempt, if it is the newest of a job that has not ended."""
    if job.attempt != number:
        raise Conflict("stale_attempt", job.state)
    return _attempt_live(job, JobAttempt.objects.get(job=job, number=number))


def _attempt_live(job: TrainingJob, attempt: JobAttempt) -> JobAttempt:
    if job.state in ENDED:
        raise Conflict("terminal", job.state)
    if attempt.ended_at is not None:  # queued again: the next claim will open a newer one
        raise Conflict("stale_attempt", job.state)
    return attempt


def _attempt_note(attempt: JobAttempt, said: dict[str, Any]) -> None:
    words = {key: value for key, value in said.items() if value is not None}
    if words:
        JobAttempt.objects.filter(pk=attempt.pk).update(**words)
