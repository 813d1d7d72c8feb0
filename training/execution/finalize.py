"""The end of a job that its trainer has completed: late reports are in, checkpoints are what they claim to be."""

import time as clock

from django.conf import settings

from training.checkpoints import checkpoint_problems
from training.jobs.clock import now_plus
from training.jobs.stopping import early_reason
from training.jobs.transition import job_locked, job_move
from training.journal.reader import heads
from training.models import ErrorType, JobAttempt, JobState, TrainingJob

POLL_SECONDS = 0.2


def job_finalize(job_id: int, number: int, wait: bool = False) -> bool:
    """Close a finalizing job if its reports are all there or their time is over; whether it is closed.

    With `wait`, look again until it is.
    """
    while True:
        job = TrainingJob.objects.get(pk=job_id)
        if job.attempt != number or job.state != JobState.FINALIZING:
            return True
        attempt = JobAttempt.objects.get(job=job, number=number)
        if _reports_arrived(attempt) or _time_is_over(attempt):
            return _close(job_id, number, checkpoint_problems(attempt))
        if not wait:
            return False
        clock.sleep(POLL_SECONDS)


def jobs_finalize() -> int:
    """Close what no supervisor closes any more; how many jobs were closed."""
    waiting = TrainingJob.objects.filter(state=JobState.FINALIZING).values_list("id", "attempt")
    return sum(job_finalize(job_id, number) for job_id, number in waiting)


def _reports_arrived(attempt: JobAttempt) -> bool:
    head = heads([attempt.job_id])[attempt.job_id]
    return attempt.final_no is None or head.attempt != attempt.number or head.sender_no >= attempt.final_no


def _time_is_over(attempt: JobAttempt) -> bool:
    # `attempt_completed` and each renewal of the lease move it on; the time of `completed` is its own mark
    over = JobAttempt.objects.filter(pk=attempt.pk, completed_at__lt=now_plus(-settings.FINALIZE_SECONDS))
    return over.exists()


def _close(job_id: int, number: int, problems: list[str]) -> bool:
    with job_locked(job_id) as job:
        if job.attempt != number or job.state != JobState.FINALIZING:
            return True
        if problems:
            message = f"A checkpoint is not what the trainer said: {'; '.join(problems)}"
            fields = {"error_type": ErrorType.STORAGE_ERROR, "error_message": message}
            job_move(job, JobState.FAILED, "server", message[:300], **fields)
        else:
            job_move(job, JobState.COMPLETED, "server", early_reason(job) or "every report and checkpoint has arrived")
    return True
