"""Jobs put away, deleted and brought back: what people do with jobs that have had their time.

A deletion is a mark, so that it can be undone; `jobs_purge` removes for good
what has been marked for DELETED_JOBS_DAYS, with its journal and its files.
"""

import logging
import time as clock

from django.conf import settings
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext

from training.jobs.clock import now_plus
from training.jobs.states import ENDED
from training.jobs.transition import NotAllowed, job_locked
from training.journal.reader import heads
from training.models import JobState, JournalRecord, TrainingJob, TrainingLog, User
from training.people.audit import audit
from training.storage.store import StorageError, internal_store

REMOVABLE = (*ENDED, JobState.DRAFT)
PURGE_SECONDS = 20.0  # of one turn; the next goes on
PURGE_ROWS = 5000  # of the journal in one transaction: others write meanwhile
logger = logging.getLogger(__name__)


def deletion_refusal(job: TrainingJob) -> str:
    """Why this job can't be deleted now; empty if it can."""
    if job.state in REMOVABLE:
        return ""
    return gettext("It is %(label)s: cancel it first.") % {"label": JobState(job.state).label.lower()}


def archiving_refusal(job: TrainingJob) -> str:
    """Why this job can't be archived now; empty if it can."""
    if job.state in REMOVABLE:
        return ""
    return gettext("It is %(label)s: it can be archived when it has ended.") % {
        "label": JobState(job.state).label.lower()
    }


def job_archive(job: TrainingJob) -> TrainingJob:
    """Leave an ended job out of lists that do not ask for it. A repeat changes nothing; raises NotAllowed."""
    with job_locked(job.pk) as locked:
        _refuse(locked, archiving_refusal(locked))
        if TrainingJob.objects.filter(pk=locked.pk, archived_at=None).update(archived_at=Now()):
            audit("job.archive", locked)
        locked.refresh_from_db()
    return locked


def job_unarchive(job: TrainingJob) -> TrainingJob:
    """Put an archived job back into the lists. A repeat changes nothing; raises NotAllowed once it is deleted."""
    with job_locked(job.pk) as locked:
        _refuse(locked)
        if TrainingJob.objects.filter(pk=locked.pk, archived_at__isnull=False).update(archived_at=None):
            audit("job.unarchive", locked)
        locked.refresh_from_db()
    return locked


def job_delete(job: TrainingJob, user: User) -> TrainingJob:
    """Mark an ended job as deleted: nobody sees it any more, and for some days it can be brought back.

    A repeat changes nothing. Raises NotAllowed while the job waits or runs.
    """
    with job_locked(job.pk) as locked:
        if locked.deleted_at is None:
            _refuse(locked, deletion_refusal(locked))
            TrainingJob.objects.filter(pk=locked.pk).update(deleted_at=Now(), deleted_by=user)
            audit("job.delete", locked, by=user)
            locked.refresh_from_db()
    return locked


def job_undelete(job: TrainingJob) -> TrainingJob:
    """Bring a deleted job back as it was. A repeat changes nothing; raises NotAllowed once its days are over."""
    with job_locked(job.pk) as locked:
        if locked.deleted_at is not None:
            if _purgeable().filter(pk=locked.pk).exists():
                raise NotAllowed(gettext("It was deleted too long ago, and is being removed."))
            TrainingJob.objects.filter(pk=locked.pk).update(deleted_at=None, deleted_by=None)
            audit("job.undelete", locked)
            locked.refresh_from_db()
    return locked


def jobs_purge(seconds: float = PURGE_SECONDS) -> int:
    """Remove jobs for good whose days are over, the oldest first, for at most about `seconds`; how many are gone.

    A job whose files can't be removed keeps its row, and is tried again.
    """
    deadline, gone = clock.monotonic() + seconds, 0
    for job_id in list(_purgeable().order_by("deleted_at").values_list("pk", flat=True)[:1000]):
        if clock.monotonic() > deadline:
            break
        try:
            gone += _purge(job_id, deadline)
        except (OSError, StorageError):
            logger.exception("The files of the deleted job %d can't be removed", job_id)
    return gone


def _purge(job_id: int, deadline: float) -> bool:
    """Files first, then the journal in parts, then the row with all that hangs on it; whether that is done."""
    internal_store().delete_all(f"jobs/{job_id}")
    head = heads([job_id]).get(job_id)
    for upto in range(PURGE_ROWS, (head.seq if head else 0) + PURGE_ROWS, PURGE_ROWS):
        for model in (TrainingLog, JournalRecord):
            model.objects.filter(job_id=job_id, seq__lte=upto).delete()
        if clock.monotonic() > deadline and head and upto < head.seq:
            return False
    with job_locked(job_id) as job:
        job.delete()
    return True


def _purgeable() -> "QuerySet[TrainingJob]":
    over = Q(deleted_at__lt=now_plus(-86_400 * settings.DELETED_JOBS_DAYS))
    return TrainingJob.objects.filter(over, state__in=REMOVABLE)


def _refuse(job: TrainingJob, reason: str = "") -> None:
    if job.deleted_at is not None:
        raise NotAllowed(gettext("This job has been deleted."))
    if reason:
        raise NotAllowed(reason)
