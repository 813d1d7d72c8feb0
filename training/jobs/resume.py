"""Where a job may go on: from its last checkpoint, or, as another job, from the weights of one that is done."""

from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext

from training.models import Checkpoint, JobAttempt, JobState, TrainingJob
from training.storage.store import internal_store
from training.trainers import trainers_all

WEIGHTS = ("best", "last")


def checkpoint_resumable(job: TrainingJob) -> Checkpoint | None:
    """The newest checkpoint from which the job's training can go on, or None.

    It is a `last` of the newest attempt that has one, knows its epoch or step,
    is not of the final epoch (frameworks strip that one), and its object is there.
    """
    if not _can_resume(job):
        return None
    stored = Checkpoint.objects.filter(job=job, kind="last").select_related("attempt")
    newest = stored.order_by("-attempt__number", "-created_at", "-id").first()
    return newest if newest is not None and _is_usable(newest) else None


def checkpoint_after(job: TrainingJob, attempt: JobAttempt) -> Checkpoint | None:
    """Where the attempt after `attempt` goes on by itself: at its last checkpoint, or else where it had begun."""
    if not _can_resume(job):
        return None
    own = Checkpoint.objects.filter(attempt=attempt, kind="last").select_related("attempt")
    candidates = [own.order_by("-created_at", "-id").first(), job.resume_from]
    return next((one for one in candidates if one is not None and _is_usable(one)), None)


def place_of(checkpoint: Checkpoint) -> str:
    """`after epoch 5`, or `after step 900` where only that is known."""
    return f"after epoch {checkpoint.epoch}" if checkpoint.epoch is not None else f"after step {checkpoint.step}"


def going_on(start: Checkpoint | None) -> str:
    """How the next attempt begins, for the reason of an event."""
    return f"it resumes {place_of(start)}" if start else "it starts again from the beginning"


def resume_problem(job: TrainingJob) -> str:
    """Why the job can't be resumed, for a person; empty if it can."""
    if job.state == JobState.COMPLETED:
        return gettext(
            "This job is complete: nothing is left to resume. Continue from its weights as a new job instead."
        )
    if not _can_resume(job):
        return gettext("The trainer %(trainer)s can't resume; restart the job from the beginning.") % {
            "trainer": job.trainer
        }
    if checkpoint_resumable(job) is None:
        return gettext("There is no checkpoint to resume from; restart the job from the beginning.")
    return ""


def weights_from_check(weights: Checkpoint, organization_id: int, trainer: str, task: str) -> None:
    """Raise ValidationError unless a new job of this organization, trainer and task may start from these weights."""
    source = weights.job
    if source.experiment.project.organization_id != organization_id:
        raise ValidationError({"weights_from": gettext("There is no such checkpoint.")})
    if not weights_continuable(source):
        raise ValidationError(
            {
                "weights_from": gettext("Job %(number)s is not complete, or its trainer takes no weights.")
                % {"number": source.pk}
            }
        )
    if (source.trainer, source.task_type) != (trainer, task):
        message = gettext("These weights are of %(trainer)s for %(task_type)s; they fit no other trainer and task.") % {
            "trainer": source.trainer,
            "task_type": source.task_type,
        }
        raise ValidationError({"weights_from": message})


def weights_continuable(job: TrainingJob) -> bool:
    """Whether a new job may start from this job's weights."""
    trainer = trainers_all().get(job.trainer)
    return job.state == JobState.COMPLETED and trainer is not None and trainer.weights


def weights_of(job: TrainingJob, kind: str) -> Checkpoint | None:
    """The newest `best` or `last` checkpoint of a job."""
    found: Any = Checkpoint.objects.filter(job=job, kind=kind).order_by("-attempt__number", "-created_at").first()
    return found


def _can_resume(job: TrainingJob) -> bool:
    trainer = trainers_all().get(job.trainer)
    return trainer is not None and trainer.resume and job.state != JobState.COMPLETED


def _is_usable(checkpoint: Checkpoint) -> bool:
    total = checkpoint.attempt.total_epochs
    ended = checkpoint.epoch is not None and total is not None and checkpoint.epoch >= total
    known = checkpoint.epoch is not None or checkpoint.step is not None
    return known and not ended and internal_store().stat(checkpoint.key) is not None
