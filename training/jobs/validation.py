"""The stage before a run: are the data still those of the snapshot, and the settings still the trainer's?

A check has its own limit (VALIDATE_SECONDS) and three tries, with growing pauses; a try that was
interrupted counts, so that data which end the process that checks them can't do so for ever.
"""

import logging
import threading

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import InterfaceError, OperationalError
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from training.datasets.snapshot import snapshot_verify
from training.jobs.clock import now_plus
from training.jobs.transition import job_locked, job_move
from training.jobs.wakeups import queue_wake
from training.models import ErrorType, JobState, TrainingJob
from training.trainers import trainer_get
from training.weights import weights_check

logger = logging.getLogger(__name__)
SHOWN = 5
TRIES = 3
PAUSE_SECONDS = 5.0  # after the first try; four times that after the second
INTERRUPTED_SECONDS = 30.0  # beyond the limit: then whoever checked it is gone
_checking = threading.Lock()


def jobs_validate() -> int:
    """Check every queued job that has not been checked since it was queued; how many there were.

    One thread of a process at a time, so that slow checks leave another to reap and to finalize.
    """
    if not _checking.acquire(blocking=False):
        return 0
    try:
        found = list(_due().select_related("snapshot__dataset", "weights").order_by("queued_at")[:100])
        return sum(job_validate(job) for job in found)
    finally:
        _checking.release()


def job_validate(job: TrainingJob) -> bool:
    """Let a queued job be claimed, fail it with what is wrong, or have it tried again; whether this call tried."""
    lease = now_plus(settings.VALIDATE_SECONDS + INTERRUPTED_SECONDS)
    mine = _due().filter(pk=job.pk).update(validation_tries=F("validation_tries") + 1, validate_after=lease)
    if not mine:  # somebody else is at it
        return False
    job.refresh_from_db(fields=["validation_tries"])
    try:
        error_type, message = _problem(job)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:  # whatever it is, the jobs behind this one are checked
        logger.warning("The data of job %s could not be checked: %s", job.pk, error)
        _try_again(job, error)
        return True
    _conclude(job, error_type, message)
    return True


def _due() -> QuerySet[TrainingJob]:
    waiting = TrainingJob.objects.filter(state=JobState.QUEUED, validated_at=None)
    return waiting.filter(Q(validate_after=None) | Q(validate_after__lte=Now()))


def _try_again(job: TrainingJob, error: Exception) -> None:
    if job.validation_tries >= TRIES:
        cause = str(error) or type(error).__name__
        _conclude(job, ErrorType.STORAGE_ERROR, f"Its data could not be checked, in {TRIES} tries: {cause}")
        return
    pause = PAUSE_SECONDS * 4 ** (job.validation_tries - 1)
    waiting = TrainingJob.objects.filter(pk=job.pk, state=JobState.QUEUED, validated_at=None)
    waiting.update(validate_after=now_plus(pause))


def _conclude(job: TrainingJob, error_type: ErrorType, message: str) -> None:
    with job_locked(job.pk) as locked:
        if locked.state != JobState.QUEUED:
            return
        if message:
            fields = {"error_type": error_type, "error_message": message}
            job_move(locked, JobState.FAILED, "server", message.splitlines()[0][:300], **fields)
            return
        TrainingJob.objects.filter(pk=job.pk).update(validated_at=Now(), validate_after=None)
    queue_wake(job.queue)


def _problem(job: TrainingJob) -> tuple[ErrorType, str]:
    try:
        trainer = trainer_get(job.trainer)
        if job.weights is not None:
            weights_check(job.weights, trainer, job.task_type, job.weights.organization_id)
        elif job.weights_from_id is None:
            trainer.model_clean(job.task_type, job.model_name)
        trainer.config_clean(job.config)
    except ValidationError as error:
        return ErrorType.CONFIG_ERROR, " ".join(error.messages)
    if job.snapshot is None:
        return ErrorType.UNKNOWN_ERROR, ""
    problems = snapshot_verify(job.snapshot, settings.VALIDATE_SECONDS)
    if not problems:
        return ErrorType.UNKNOWN_ERROR, ""
    more = f"\n… and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    listed = "\n".join(problems[:SHOWN])
    return ErrorType.DATASET_ERROR, f"The data have changed since the job was created:\n{listed}{more}"
