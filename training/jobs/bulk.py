"""One verb for many jobs: each is done or refused by itself, and the answer tells which and why."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.core.exceptions import ValidationError
from django.utils.translation import gettext

from training.jobs.keeping import (
    archiving_refusal,
    deletion_refusal,
    job_archive,
    job_delete,
    job_unarchive,
    job_undelete,
)
from training.jobs.services import job_cancel
from training.jobs.states import ENDED
from training.jobs.tags import job_tag, job_untag
from training.jobs.transition import NotAllowed
from training.models import JobState, TrainingJob, User
from training.people.roles import Action, allowed_each, refusal

MOST = 500  # jobs in one request


class Bulk(StrEnum):
    CANCEL = "cancel"
    TAG = "tag"
    UNTAG = "untag"
    ARCHIVE = "archive"
    UNARCHIVE = "unarchive"
    DELETE = "delete"
    UNDELETE = "undelete"


RIGHTS = {
    Bulk.CANCEL: Action.CANCEL_JOB,
    Bulk.TAG: Action.TAG_JOB,
    Bulk.UNTAG: Action.TAG_JOB,
    Bulk.ARCHIVE: Action.ARCHIVE_JOB,
    Bulk.UNARCHIVE: Action.ARCHIVE_JOB,
    Bulk.DELETE: Action.DELETE_JOB,
    Bulk.UNDELETE: Action.DELETE_JOB,
}
OF_DELETED = (Bulk.DELETE, Bulk.UNDELETE)  # a repeated deletion is no error, so these see deleted jobs too


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one job; `refusal` says why nothing did."""

    job: TrainingJob
    refusal: str = ""


def bulk_preview(user: User, verb: Bulk, jobs: Sequence[TrainingJob]) -> list[Outcome]:
    """What `jobs_bulk` would do now, by one query for the rights."""
    rights = allowed_each(user, RIGHTS[verb], jobs)
    return [Outcome(job, _refusal(verb, job, right)) for job, right in zip(jobs, rights, strict=True)]


def jobs_bulk(user: User, verb: Bulk, jobs: Sequence[TrainingJob], tags: Sequence[str] = ()) -> list[Outcome]:
    """Do it to each job that it can be done to, each in a transaction of its own; in the order of `jobs`."""
    done = []
    for outcome in bulk_preview(user, verb, jobs):
        refusal = outcome.refusal
        if not refusal:
            try:
                _verb(verb, user, tags)(outcome.job)
            except NotAllowed as error:
                refusal = str(error)
            except ValidationError as error:
                refusal = " ".join(error.messages)
            except TrainingJob.DoesNotExist:
                refusal = gettext("It is gone.")
        done.append(Outcome(outcome.job, refusal))
    return done


def _verb(verb: Bulk, user: User, tags: Sequence[str]) -> Callable[[TrainingJob], object]:
    verbs: dict[Bulk, Callable[[TrainingJob], object]] = {
        Bulk.CANCEL: lambda job: job_cancel(job, user),
        Bulk.TAG: lambda job: job_tag(job, tags),
        Bulk.UNTAG: lambda job: job_untag(job, tags),
        Bulk.ARCHIVE: job_archive,
        Bulk.UNARCHIVE: job_unarchive,
        Bulk.DELETE: lambda job: job_delete(job, user),
        Bulk.UNDELETE: job_undelete,
    }
    return verbs[verb]


def _refusal(verb: Bulk, job: TrainingJob, right: bool) -> str:
    if not right:
        return refusal(RIGHTS[verb])
    if verb == Bulk.DELETE:
        return deletion_refusal(job)
    if verb == Bulk.ARCHIVE:
        return archiving_refusal(job)
    if verb == Bulk.CANCEL and job.state in (*ENDED, JobState.DRAFT):
        return gettext("It is %(label)s: there is nothing to cancel.") % {"label": JobState(job.state).label.lower()}
    return ""
