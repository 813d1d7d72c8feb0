"""Jobs that nobody hears of: given up by the reaper, by their own worker, or by its successor."""

from django.conf import settings

from training.jobs.attempts import slot_release
from training.jobs.failures import Cause
from training.jobs.resume import checkpoint_after, going_on
from training.jobs.states import LIVE
from training.jobs.transition import job_locked, job_move
from training.models import ErrorType, JobAttempt, JobState, TrainingJob


def attempt_lose(job_id: int, number: int, by: str, reason: str) -> bool:
    """A live attempt is lost; whether this call made it so. It may still come back."""
    with job_locked(job_id) as job:
        if job.attempt != number or job.state not in LIVE:
            return False
        job_move(job, JobState.LOST, by, reason)
        return True


def attempt_give_up(attempt: JobAttempt, by: str, reason: str, cause: Cause = Cause.WORKER_LOST) -> None:
    """The attempt's process is gone without an end: its job is queued again, or fails when no attempt is left."""
    with job_locked(attempt.job_id) as job:
        if job.attempt != attempt.number:
            return
        if job.state == JobState.CANCELLING:
            job_move(job, JobState.CANCELLED, "supervisor", reason, error_type=ErrorType.CANCELLED)
        elif job.state in LIVE and job.state != JobState.FINALIZING:
            job_move(job, JobState.LOST, "supervisor", reason)
        if job.state == JobState.LOST:
            job_lost_resolve(job, attempt, by, cause)


def job_lost_resolve(job: TrainingJob, attempt: JobAttempt, by: str, cause: Cause = Cause.WORKER_LOST) -> None:
    """Queue a lost job again, or fail it when its attempts are used up. The job's row is locked."""
    slot_release(attempt)
    if job.attempt - job.granted_from < settings.MAX_ATTEMPTS:
        start = checkpoint_after(job, attempt)
        reason = f"attempt {attempt.number} was lost; {going_on(start)}"
        job_move(job, JobState.QUEUED, by, reason, resume_from=start)
        return
    message = _ended_again(cause, settings.MAX_ATTEMPTS)
    fields = {"error_type": ErrorType.UNKNOWN_ERROR, "error_message": message, "error_code": cause}
    job_move(job, JobState.FAILED, by, message, **fields)


def _ended_again(cause: Cause, times: int) -> str:
    if cause == Cause.HANG:
        return f"The trainer hung {times} times; it is not tried again by itself."
    return f"Its worker was lost {times} times; it is not tried again by itself."
