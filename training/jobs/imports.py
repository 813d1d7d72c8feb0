"""Runs that another tool recorded become jobs: opened as a draft, told in numbered reports, ended as they ended there.

An interrupted import leaves the draft. The next one goes on by the journal's own
rule: reports are numbered like a trainer's, so what is there already is a repeat.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from training.jobs.transition import job_locked, job_move
from training.journal.checks import strict
from training.journal.payloads import Event, Metrics
from training.journal.reader import heads
from training.journal.writer import Append, commit
from training.models import (
    ErrorType,
    Experiment,
    ImportedRun,
    JobAttempt,
    JobState,
    Organization,
    TrainingJob,
    User,
)

ATTEMPT = 1
LONGEST_RUN = 500


class ImportRefused(Exception):
    """The journal did not take a report: somebody has changed the job meanwhile."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What identifies a run: the source, what it is called there, and where that was, for people."""

    source: str
    run: str
    address: str

    @property
    def key(self) -> str:
        digest = hashlib.sha256(self.run.encode("utf-8", "surrogatepass")).hexdigest()
        return self.run if len(self.run) <= LONGEST_RUN else f"sha256:{digest}"


@dataclass(frozen=True, slots=True)
class PastRun:
    """What is known of a run beside its reports; `about` is kept as an event of the job."""

    name: str
    trainer: str
    task_type: str
    model_name: str
    started: datetime
    ended: datetime
    total_epochs: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)


def import_find(organization: Organization, origin: Origin) -> TrainingJob | None:
    """The job that was made of this run; a draft while its import has not ended."""
    found = ImportedRun.objects.filter(organization=organization, source=origin.source, run=origin.key)
    imported = found.select_related("job").first()
    return imported.job if imported else None


def import_open(
    user: User, experiment: Experiment, origin: Origin, past: PastRun, backends: Sequence[str]
) -> TrainingJob:
    """The draft that takes the run's reports: the one that there is, or a new one with its attempt and first event."""
    organization = experiment.project.organization
    if found := import_find(organization, origin):
        return found
    try:
        return _import_make(user, experiment, origin, past, backends)
    except IntegrityError:  # another import of the same run was faster
        if found := import_find(organization, origin):
            return found
        raise


def _import_make(
    user: User, experiment: Experiment, origin: Origin, past: PastRun, backends: Sequence[str]
) -> TrainingJob:
    with transaction.atomic():
        job = TrainingJob.objects.create(
            experiment=experiment,
            name=(past.name or origin.run)[:200],
            trainer=past.trainer[:64],
            task_type=past.task_type[:32],
            model_name=past.model_name[:120],
            config=strict(dict(past.config)),
            attempt=ATTEMPT,
            granted_from=ATTEMPT,
            observability_backends=list(backends),
            created_by=user,
            started_at=past.started,
        )
        TrainingJob.objects.filter(pk=job.pk).update(created_at=past.started)
        JobAttempt.objects.create(
            job=job,
            number=ATTEMPT,
            opened_at=past.started,
            started_at=past.started,
            lease_until=past.ended,
            total_epochs=past.total_epochs,
        )
        organization = experiment.project.organization
        row = {"source": origin.source, "run": origin.key, "address": origin.address}
        ImportedRun.objects.create(organization=organization, job=job, **row)
        commit([Append(job.pk, None, [Event(strict({"type": "imported", **row, **past.about}))])])
    return job


def import_reached(job: TrainingJob) -> int:
    """The number of the last report that the job's journal holds."""
    head = heads([job.pk]).get(job.pk)
    return head.sender_no if head is not None and head.attempt == ATTEMPT else 0


def import_add(job: TrainingJob, reports: Sequence[Metrics]) -> None:
    """Store the next reports; those that are there already change nothing. Raises ImportRefused."""
    answer = commit([Append(job.pk, ATTEMPT, reports)])[0]
    if answer.error or answer.refused:
        reasons = ", ".join(refused.reason for refused in answer.refused)
        raise ImportRefused(f"the journal refused a report of job {job.pk}: {answer.error or reasons}")


def import_close(job: TrainingJob, user: User, outcome: JobState, reason: str, ended: datetime) -> bool:
    """End the draft as the run ended; True if this call was the one that did."""
    fields: dict[str, Any] = {"ended_at": ended}
    if outcome == JobState.FAILED:
        fields |= {"error_type": ErrorType.UNKNOWN_ERROR, "error_message": reason}
    elif outcome == JobState.CANCELLED:
        fields["error_type"] = ErrorType.CANCELLED
    with job_locked(job.pk) as locked:
        if locked.state != JobState.DRAFT:
            return False
        job_move(locked, outcome, "import", reason, user.get_username(), **fields)
        JobAttempt.objects.filter(job=locked, number=ATTEMPT).update(ended_at=ended)
    return True
