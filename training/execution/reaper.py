"""What a sweep does for jobs whose machines have fallen silent. Sweeps may run twice without harm."""

import logging

from django.conf import settings
from django.db.models import F
from django.db.models.functions import Now

from training.jobs.attempts import slot_release
from training.jobs.clock import now_plus
from training.jobs.lost import job_lost_resolve
from training.jobs.states import LIVE
from training.jobs.transition import job_locked, job_move
from training.models import ErrorType, JobAttempt, JobState

logger = logging.getLogger(__name__)


def jobs_reap() -> int:
    """Move every job whose lease is over one step further; how many were moved."""
    current = JobAttempt.objects.filter(ended_at=None, number=F("job__attempt"))
    over = current.filter(lease_until__lt=Now(), job__state__in=[*LIVE, JobState.CANCELLING])
    forgotten = current.filter(lease_until__lt=now_plus(-settings.LOST_GRACE_SECONDS), job__state=JobState.LOST)
    return sum(map(_reap, [*over, *forgotten]))


def _reap(found: JobAttempt) -> bool:
    with job_locked(found.job_id) as job:
        attempt = JobAttempt.objects.filter(
            pk=found.pk, number=job.attempt, ended_at=None, lease_until__lt=Now()
        ).first()
        if attempt is None:  # somebody was faster, or the lease was renewed
            return False
        if job.state in LIVE:
            job_move(
                job,
                JobState.LOST,
                "reaper",
                f"no word from {attempt.worker}" if attempt.worker else "no word from its worker",
            )
        elif job.state == JobState.CANCELLING:
            job_move(job, JobState.CANCELLED, "reaper", "its worker is gone", error_type=ErrorType.CANCELLED)
            slot_release(attempt)
        elif job.state == JobState.LOST:
            job_lost_resolve(job, attempt, "reaper")
        else:
            return False
        return True
