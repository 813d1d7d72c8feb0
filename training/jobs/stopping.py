"""Stopping a run early: asked for by the platform, carried out like a cancel, and counted as completed."""

from training.journal.writer import append_event
from training.models import JobState, JobWatch, TrainingJob


def stopping_early(job: TrainingJob, number: int) -> bool:
    """Whether the platform has asked this attempt to stop."""
    return number > 0 and job.stop_attempt == number


def asked_to_stop(job: TrainingJob, number: int) -> bool:
    """What a trainer is answered: whether it is to save its last checkpoint and leave."""
    return job.state == JobState.CANCELLING or stopping_early(job, number)


def stop_early(job: TrainingJob, watch: JobWatch, reason: str) -> None:
    """Ask the newest attempt of a job to stop. The job's row is locked, `watch` is saved by the caller."""
    watch.reason = reason[:300]
    job.stop_attempt = job.attempt
    TrainingJob.objects.filter(pk=job.pk).update(stop_attempt=job.attempt)
    append_event(job.pk, {"type": "early_stop", "title": "Stopping early", "text": reason})


def early_reason(job: TrainingJob) -> str:
    """Why the run of this attempt was stopped early; empty if it was not."""
    if not stopping_early(job, job.attempt):
        return ""
    reason = JobWatch.objects.filter(job=job).values_list("reason", flat=True).first()
    return f"stopped early: {reason}" if reason else "stopped early"
