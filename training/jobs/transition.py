"""The one way to change a job's state: under its row lock, by the table, as a recorded event."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext

from training.jobs.states import ENDED, allowed
from training.jobs.wakeups import queue_wake
from training.journal.writer import append_event
from training.models import JobAttempt, JobState, TrainingJob


class NotAllowed(Exception):
    """The state machine has no such change; the message is for the person who asked."""


@contextmanager
def job_locked(job_id: int) -> Iterator[TrainingJob]:
    """A transaction that holds the job's row; what is decided in it stays true until it commits."""
    with transaction.atomic():
        yield TrainingJob.objects.select_for_update(no_key=True).get(pk=job_id)


def job_move(job: TrainingJob, target: JobState, by: str, reason: str = "", who: str = "", **fields: Any) -> None:
    """Change the state of a job whose row is locked, and record who did it, when and why.

    `fields` of the job are saved with it. An attempt ends with its job's run.
    Raises NotAllowed if the table has no such change, or the job has been deleted.
    """
    if job.deleted_at is not None:
        raise NotAllowed(gettext("This job has been deleted."))
    if not allowed(job.state, target, by):
        raise NotAllowed(
            gettext("A job that is %(label)s can't become %(target)s.")
            % {"label": JobState(job.state).label.lower(), "target": target.label.lower()}
        )
    source, job.state, job.state_reason = job.state, target, reason
    stamps: dict[str, Any] = {}
    if target in ENDED:
        stamps["ended_at"] = Now()
    if target == JobState.QUEUED:
        stamps |= {"queued_at": Now(), "ended_at": None, "validated_at": None}
        stamps |= {"validation_tries": 0, "validate_after": None}
        stamps |= {"error_type": "", "error_code": "", "error_message": ""}
    changes = {"state": target, "state_reason": reason, **stamps, **fields}
    TrainingJob.objects.filter(pk=job.pk).update(**changes)
    if target in (*ENDED, JobState.QUEUED):
        attempt_close(job, target)
    if target == JobState.QUEUED:
        transaction.on_commit(lambda: queue_wake("maintenance"))
    append_event(job.pk, {"type": "state", "from": source, "to": target, "by": by, "who": who, "reason": reason})
    job.refresh_from_db()


def attempt_close(job: TrainingJob, outcome: str) -> None:
    """End the newest attempt, if it is open. Its slot stays taken until the process is gone."""
    attempts = JobAttempt.objects.filter(job=job, number=job.attempt, ended_at=None)
    attempts.update(ended_at=Now(), outcome=outcome)
