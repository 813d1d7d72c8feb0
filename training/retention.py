"""Which checkpoints stay: the best and the last always, of the periodic ones as many as the organization wants."""

import logging
import time as clock
from dataclasses import dataclass
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext

from training.jobs.states import ENDED
from training.jobs.transition import NotAllowed, job_locked
from training.models import Checkpoint, JobAttempt, JobState, Organization, Project, StoredRemoval, TrainingJob, User
from training.people.audit import audit, audit_changes

PERIODIC = "epoch"
MOST = 10_000
EXPIRE_SECONDS = 10.0
logger = logging.getLogger(__name__)
_PROJECT = "job__experiment__project"


@dataclass(frozen=True, slots=True)
class Keeping:
    """`epochs` periodic checkpoints of a job stay, once it has ended `days` ago."""

    epochs: int
    days: int
    of_project: bool = False


def keeping_of(project: Project) -> Keeping:
    """What holds for the jobs of a project."""
    own, organization = project.keep_epochs, project.organization
    epochs = organization.keep_epochs if own is None else own
    return Keeping(epochs, organization.keep_epochs_days, own is not None)


def organization_keep(organization: Organization, epochs: int, days: int, by: User | None = None) -> None:
    """Say how long the organization keeps periodic checkpoints; the caller checked the right."""
    new = {"keep_epochs": epochs, "keep_epochs_days": days}
    for name, value in new.items():
        if not 0 <= value <= MOST:
            raise ValidationError({name: gettext("A whole number from 0 to %(most)s.") % {"most": f"{MOST:,}"}})
    with transaction.atomic():
        locked = Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
        old = {name: getattr(locked, name) for name in new}
        Organization.objects.filter(pk=locked.pk).update(**new)
        audit_changes("organization.keep", locked, old, new, by=by)


def project_keep(project: Project, epochs: int | None, by: User | None = None) -> None:
    """Give a project a number of its own; None for the organization's. The caller checked the number and the right."""
    with transaction.atomic():
        locked = Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        old = {"keep_epochs": locked.keep_epochs}
        Project.objects.filter(pk=locked.pk).update(keep_epochs=epochs)
        audit_changes("project.keep", locked, old, {"keep_epochs": epochs}, by=by)


def checkpoint_delete(checkpoint: Checkpoint, by: User | None = None) -> None:
    """Remove a checkpoint for good. Raises NotAllowed while its job is not over, or a job is to begin from it."""
    with job_locked(checkpoint.job_id) as job:
        if job.state not in ENDED:
            raise NotAllowed(gettext("Its job has not ended: cancel it first, or wait."))
        waiting = TrainingJob.objects.exclude(state__in=ENDED).exclude(state=JobState.DRAFT)
        used = waiting.filter(Q(weights_from=checkpoint) | Q(resume_from=checkpoint)).first()
        if used is not None:
            raise NotAllowed(
                gettext("The job “%(name)s” (#%(number)s) begins from it.") % {"name": used.name, "number": used.pk}
            )
        _remove([checkpoint])
        old = {"kind": checkpoint.kind, "epoch": checkpoint.epoch, "bytes": checkpoint.size}
        audit("checkpoint.delete", checkpoint, by=by, old=old)


def checkpoints_expire(seconds: float = EXPIRE_SECONDS) -> int:
    """Remove the periodic checkpoints of ended jobs that nobody wants to keep, for some seconds; how many went.

    The newest stay; and those from which a job began or is to begin, whatever their number.
    """
    deadline, gone = clock.monotonic() + seconds, 0
    keep = Coalesce(f"{_PROJECT}__keep_epochs", f"{_PROJECT}__organization__keep_epochs")
    rows = Checkpoint.objects.filter(kind=PERIODIC, job__state__in=ENDED, job__ended_at__isnull=False).order_by()
    jobs = rows.values("job_id", "job__ended_at", days=F(f"{_PROJECT}__organization__keep_epochs_days"), keep=keep)
    for job in jobs.annotate(count=Count("pk")).filter(count__gt=F("keep")):
        if clock.monotonic() > deadline:
            break
        ended = job["job__ended_at"]
        if ended is not None and ended + timedelta(days=job["days"]) <= timezone.now():
            gone += _expire(job["job_id"], job["keep"])
    return gone


def _expire(job_id: int, keep: int) -> int:
    with job_locked(job_id) as job:
        if job.state not in ENDED:  # it was started again at this very moment
            return 0
        newest = Checkpoint.objects.filter(job=job, kind=PERIODIC).order_by("-attempt__number", "-epoch", "-id")
        doomed = [one for one in newest[keep:] if not _begun_from(one)]
        if doomed:
            _remove(doomed)
            old = {"epochs": [one.epoch for one in doomed], "bytes": sum(one.size for one in doomed)}
            audit("job.checkpoints_expire", job, old=old, new={"kept": keep})
        return len(doomed)


def _begun_from(checkpoint: Checkpoint) -> bool:
    begun = Q(weights_from=checkpoint) | Q(resume_from=checkpoint)
    return TrainingJob.objects.filter(begun).exists() or JobAttempt.objects.filter(resumed_from=checkpoint).exists()


def _remove(checkpoints: list[Checkpoint]) -> None:
    """The rows now, the objects by a maintenance worker once that is committed."""
    StoredRemoval.objects.bulk_create(StoredRemoval(store="internal", key=one.key, below=False) for one in checkpoints)
    Checkpoint.objects.filter(pk__in=[one.pk for one in checkpoints]).delete()
