"""Inference jobs: asked for by people, claimed by workers, ended once, swept."""

import logging
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext

from training.datasets.images import BadImage
from training.inference.picture import picture_clean
from training.jobs.clock import now_plus
from training.jobs.wakeups import queue_wake
from training.models import Checkpoint, InferenceJob, InferenceState, TrainingJob, User
from training.people.audit import audit
from training.storage.store import internal_store
from training.templatetags.text import plain_text
from training.trainers import trainers_all

logger = logging.getLogger(__name__)
QUEUE = "inference"
MOST_WAITING = 20  # of one person
MARGIN_SECONDS = 60.0  # for fetching the weights, and for a process that is slow to end
LOST = "The worker that had it has gone. Try it again."


def job_testable(job: TrainingJob) -> Checkpoint | None:
    """The checkpoint that a picture would be tried on: the best, or else the last; None where there is none."""
    trainer = trainers_all().get(job.trainer)
    if trainer is None or not trainer.predict:
        return None
    found = {one.kind: one for one in job.checkpoints.filter(kind__in=("best", "last")).order_by("created_at", "id")}
    return found.get("best") or found.get("last")


def inference_create(user: User, job: TrainingJob, content: bytes, name: str) -> InferenceJob:
    """Keep a picture, and have a worker try the job's model on it. Raises ValidationError.

    The caller has checked the person's right.
    """
    checkpoint = job_testable(job)
    if checkpoint is None:
        raise ValidationError({"picture": gettext("This job has no checkpoint that could be tried.")})
    waiting = InferenceJob.objects.filter(created_by=user, state=InferenceState.WAITING)
    if waiting.count() >= MOST_WAITING:
        raise ValidationError(
            {
                "picture": gettext("%(count)s of your pictures are still waiting: let them be done first.")
                % {"count": MOST_WAITING}
            }
        )
    name = plain_text(name)[:120] or "picture"
    if len(content) > settings.INFERENCE_MAX_MB * 1024 * 1024:
        raise ValidationError(
            {
                "picture": gettext("%(name)s is larger than %(most)s MiB.")
                % {"name": name, "most": settings.INFERENCE_MAX_MB}
            }
        )
    try:
        picture = picture_clean(content)
    except BadImage as error:
        raise ValidationError(
            {"picture": gettext("%(name)s %(problem)s.") % {"name": name, "problem": error}}
        ) from error
    key = f"jobs/{job.pk}/inference/{uuid4().hex}.{picture.content_type.removeprefix('image/')}"
    internal_store().put(key, picture.content)
    with transaction.atomic():
        made: InferenceJob = InferenceJob.objects.create(
            job=job,
            checkpoint=checkpoint,
            picture_name=name,
            picture_key=key,
            content_type=picture.content_type,
            width=picture.width,
            height=picture.height,
            created_by=user,
        )
        audit("inference.create", made, by=user, new={"picture": name})
    transaction.on_commit(lambda: queue_wake(QUEUE))
    return made


def inference_claim() -> InferenceJob | None:
    """Take the one that has waited longest; None where none waits. Two workers never take the same."""
    while True:
        waiting = InferenceJob.objects.filter(state=InferenceState.WAITING)
        pk = waiting.order_by("created_at", "id").values_list("pk", flat=True).first()
        if pk is None:
            return None
        lease = now_plus(settings.INFERENCE_SECONDS + MARGIN_SECONDS)
        if waiting.filter(pk=pk).update(state=InferenceState.WORKING, started_at=Now(), lease_until=lease):
            found: InferenceJob = InferenceJob.objects.select_related("job", "checkpoint").get(pk=pk)
            return found


def inference_end(inference: InferenceJob, result: dict[str, Any] | None, error: str = "") -> bool:
    """Close it with what the model saw, or with why it saw nothing; True for the one call that did."""
    state = InferenceState.FAILED if result is None else InferenceState.COMPLETED
    working = InferenceJob.objects.filter(pk=inference.pk, state=InferenceState.WORKING)
    fields = {"result": result or {}, "error": plain_text(error)[:2000], "ended_at": Now()}
    return bool(working.update(state=state, **fields))


def inference_hand_back(inference: InferenceJob) -> None:
    """A worker that shuts down lets another take it."""
    working = InferenceJob.objects.filter(pk=inference.pk, state=InferenceState.WORKING)
    working.update(state=InferenceState.WAITING, started_at=None, lease_until=None)


def inferences_sweep() -> None:
    """End what a lost worker had, wake the workers for what waits, and remove the pictures that are old."""
    working = InferenceJob.objects.filter(state=InferenceState.WORKING, lease_until__lt=Now())
    working.update(state=InferenceState.FAILED, error=LOST, ended_at=Now())
    if InferenceJob.objects.filter(state=InferenceState.WAITING).exists():
        queue_wake(QUEUE)
    old = timezone.now() - timedelta(hours=settings.INFERENCE_KEEP_HOURS)
    ended = (
        InferenceJob.objects.exclude(state=InferenceState.WORKING).exclude(picture_key="").filter(created_at__lt=old)
    )
    for inference in ended[:200]:
        _picture_forget(inference)


def _picture_forget(inference: InferenceJob) -> None:
    """One that still waits has lost its picture, and so its sense."""
    kept = InferenceJob.objects.filter(pk=inference.pk).exclude(state=InferenceState.WORKING)
    too_late = {"error": "No worker took it in time.", "ended_at": Now()}
    kept.filter(state=InferenceState.WAITING).update(state=InferenceState.FAILED, **too_late)
    if not kept.exists():
        return
    try:
        internal_store().delete(inference.picture_key)
    except OSError:
        logger.warning("The picture %s could not be removed; it is tried again", inference.picture_key, exc_info=True)
        return
    kept.update(picture_key="")
