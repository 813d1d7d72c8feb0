"""Every read of jobs for people: what they may see, and what pages show of it."""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db.models import OuterRef, Q, Subquery
from django.utils import timezone

from training.jobs.latest import Latest, metrics_latest
from training.jobs.progress import (
    ACTIVE,
    Download,
    Progress,
    download_told,
    job_progress,
    remaining_each,
    silent_seconds,
)
from training.journal.reader import Head, heads, records_after
from training.models import (
    Artifact,
    Checkpoint,
    JobAttempt,
    JobState,
    JournalRecord,
    MetricNames,
    RecordKind,
    TrainingJob,
    User,
)
from training.models.visibility import OrganizationQuerySet
from training.trainers import trainers_all

WORKER_SEEN_SECONDS = 60


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job as the list shows it."""

    job: TrainingJob
    progress: Progress
    silent: float | None
    metric: tuple[str, float] | None

    @property
    def ends_at(self) -> float | None:
        """When it will be done at its present rate, in seconds since 1970."""
        left = self.progress.remaining
        return None if left is None else timezone.now().timestamp() + left


@dataclass(frozen=True, slots=True)
class JobStatus:
    """Where a job stands: what the head of its page shows, for whoever may see it."""

    job: TrainingJob
    attempts: list[JobAttempt]
    head: Head | None
    progress: Progress
    silent: float | None

    @property
    def attempt(self) -> JobAttempt | None:
        return self.attempts[-1] if self.attempts else None

    @property
    def active(self) -> bool:
        return self.job.state in ACTIVE

    @property
    def ends_at(self) -> float | None:
        """When it will be done at its present rate, in seconds since 1970."""
        left = self.progress.remaining
        return None if left is None else timezone.now().timestamp() + left

    @property
    def download(self) -> Download | None:
        """How far the data of the newest attempt are, while they come."""
        return download_told(self.attempt.download) if self.active and self.attempt else None

    @property
    def gives_up_at(self) -> datetime | None:
        """Until when a lost job's trainer may come back."""
        if self.job.state != JobState.LOST or self.attempt is None:
            return None
        return self.attempt.lease_until + timedelta(seconds=settings.LOST_GRACE_SECONDS)

    @property
    def seq(self) -> int:
        return self.head.seq if self.head else 0


@dataclass(frozen=True, slots=True)
class JobEvent:
    seq: int
    time: float
    data: dict[str, Any]


def jobs_visible(user: User | AnonymousUser, organization_id: int | None = None) -> OrganizationQuerySet:
    """The jobs that a person may see, newest first; of one organization only, if it is told."""
    jobs: OrganizationQuerySet = TrainingJob.objects.visible_to(user, organization_id)
    return jobs.select_related("experiment__project", "dataset", "weights", "created_by").order_by("-created_at", "-id")


def jobs_kept(user: User | AnonymousUser, organization_id: int | None = None) -> OrganizationQuerySet:
    """`jobs_visible` and the deleted ones that can still be brought back: for the doors that do that, and no other."""
    jobs: OrganizationQuerySet = TrainingJob.objects.kept_for(user, organization_id)
    return jobs.select_related("experiment__project", "dataset", "created_by").order_by("-created_at", "-id")


def job_rows(jobs: Sequence[TrainingJob], estimate: bool = False) -> list[JobRow]:
    """What the list shows of these jobs, by a fixed number of queries; with the time left if `estimate`."""
    ids = [job.pk for job in jobs]
    newest = {one.job_id: one for one in JobAttempt.objects.filter(job__in=ids).order_by("number")}
    reached = heads(ids) if ids else {}
    metrics = _primary_values(jobs)
    running = [(newest[job.pk], reached[job.pk]) for job in jobs if _reports(job, newest, reached)]
    left = remaining_each([pair for pair in running if pair[0].number == pair[1].attempt]) if estimate else {}
    rows = []
    for job in jobs:
        attempt = newest.get(job.pk)
        progress = job_progress(job, attempt, reached.get(job.pk), estimate=False)
        if job.pk in left:
            progress = replace(progress, remaining=left[job.pk])
        rows.append(JobRow(job, progress, silent_seconds(job, attempt), metrics.get(job.pk)))
    return rows


def _reports(job: TrainingJob, newest: Mapping[int, JobAttempt], reached: Mapping[int, Head]) -> bool:
    return job.state == JobState.RUNNING and job.pk in newest and job.pk in reached


def job_status(job_id: int) -> JobStatus | None:
    """Where a job stands now; None if there is none any more. Not filtered by person: doors check that first."""
    related = "experiment__project", "dataset", "snapshot", "created_by"
    job = TrainingJob.objects.select_related(*related).filter(pk=job_id, deleted_at=None).first()
    if job is None:
        return None
    attempts = list(JobAttempt.objects.filter(job=job).select_related("worker").order_by("number"))
    head = heads([job_id]).get(job_id)
    newest = attempts[-1] if attempts else None
    return JobStatus(job, attempts, head, job_progress(job, newest, head), silent_seconds(job, newest))


def job_latest(status: JobStatus) -> tuple[list[Latest], list[Latest]]:
    """The job's metrics, and apart from them those of the machine it runs on."""
    latest = metrics_latest(status.job, status.attempts)
    system = [one for one in latest if one.name.startswith("system/")]
    return [one for one in latest if not one.name.startswith("system/")], system


def job_events(job_id: int, limit: int = 200) -> list[JobEvent]:
    """The newest events of a job, newest first."""
    events = JournalRecord.objects.filter(job_id=job_id, kind=RecordKind.EVENT)
    oldest = list(events.order_by("-seq").values_list("seq", flat=True)[:limit])
    records = records_after(job_id, oldest[-1] - 1, limit, [RecordKind.EVENT]) if oldest else []
    return [JobEvent(record.seq, record.time, record.event or {}) for record in reversed(records)]


def job_checkpoints(job_id: int) -> list[Checkpoint]:
    return list(Checkpoint.objects.filter(job_id=job_id).select_related("attempt"))


def job_artifacts(job_id: int) -> list[tuple[str, list[Artifact]]]:
    """The artifacts of a job's newest attempt that has some, by kind in the order of their coming."""
    newest = Artifact.objects.filter(job_id=job_id).order_by("-attempt__number").values("attempt")[:1]
    kinds: dict[str, list[Artifact]] = {}
    for one in Artifact.objects.filter(attempt__in=newest):
        kinds.setdefault(one.kind, []).append(one)
    return list(kinds.items())


def _primary_values(jobs: Sequence[TrainingJob]) -> dict[int, tuple[str, float]]:
    """Each job's newest value of its trainer's primary metric."""
    trainers = trainers_all()
    names = {job.pk: trainers[job.trainer].primary(job.task_type) for job in jobs if job.trainer in trainers}
    wanted = {name for name in names.values() if name}
    lists = {row.pk: tuple(row.names) for row in _lists_with(wanted)} if wanted else {}
    if not lists:
        return {}
    points = JournalRecord.objects.filter(job_id=OuterRef("pk"), kind=RecordKind.METRICS, names__in=list(lists))
    last = TrainingJob.objects.filter(pk__in=names).annotate(last=Subquery(points.order_by("-seq").values("seq")[:1]))
    places = [Q(job_id=pk, seq=seq) for pk, seq in last.values_list("pk", "last") if seq is not None]
    return _values_at(places, names, lists) if places else {}


def _values_at(
    places: list[Q], names: dict[int, str], lists: dict[int, tuple[str, ...]]
) -> dict[int, tuple[str, float]]:
    records = JournalRecord.objects.filter(reduce(or_, places)).values_list("job_id", "names_id", "values")
    values = {}
    for job_id, names_id, packed in records:
        name, listed = names[job_id], lists[names_id]
        if name in listed:
            values[job_id] = name, struct.unpack_from("<d", packed, 8 * listed.index(name))[0]
    return values


def _lists_with(wanted: Iterable[str]) -> list[MetricNames]:
    return [row for row in MetricNames.objects.all()[:5000] if not set(wanted).isdisjoint(row.names)]
