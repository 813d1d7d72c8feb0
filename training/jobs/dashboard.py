"""What somebody who comes in sees first: what runs, what waits and why, what failed, what is done, and the machines."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Q
from django.utils import timezone

from training.jobs.progress import ACTIVE
from training.jobs.selectors import JobRow, job_rows, jobs_visible
from training.jobs.turns import TURN, queue_places
from training.jobs.waiting import WorkerSeen, waiting_reason, workers_seen
from training.models import Dataset, JobState, MetricSummary, TrainingJob, User
from training.models.visibility import OrganizationQuerySet
from training.trainers import trainers_all

SHOWN = 10  # of each list
LATELY = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class WaitingJob:
    """A job in a queue: its place, None beyond those that are counted, and why it is not running yet."""

    job: TrainingJob
    place: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class FinishedJob:
    """A completed job with the best value of its trainer's primary metric, if that is known."""

    job: TrainingJob
    metric: str
    best: float | None
    epoch: int | None


@dataclass(frozen=True, slots=True)
class Dashboard:
    running: list[JobRow]
    waiting: list[WaitingJob]
    failed: list[TrainingJob]
    finished: list[FinishedJob]
    workers: list[WorkerSeen]
    counts: dict[str, int]

    @property
    def alive(self) -> int:
        return sum(one.alive for one in self.workers)


def dashboard(user: User) -> Dashboard:
    """The jobs of one's organizations, by a fixed number of queries; workers are shared by all organizations."""
    jobs = jobs_visible(user).filter(archived_at=None)
    workers = workers_seen()
    since = timezone.now() - LATELY
    ended = jobs.filter(ended_at__gte=since).order_by("-ended_at", "-id")
    running = list(jobs.filter(state__in=ACTIVE).order_by("-started_at", "-id")[:SHOWN])
    return Dashboard(
        running=job_rows(running, estimate=True),
        waiting=_waiting(jobs, workers),
        failed=list(ended.filter(state=JobState.FAILED)[:SHOWN]),
        finished=_finished(list(ended.filter(state=JobState.COMPLETED)[:SHOWN])),
        workers=workers,
        counts=_counts(jobs, since),
    )


def first_steps(user: User) -> dict[str, bool]:
    """What somebody has there already, for those who have just begun; whoever has a job has begun."""
    if jobs_visible(user).order_by().exists():
        return {"member": True, "datasets": True, "jobs": True}
    datasets = Dataset.objects.visible_to(user).exists()
    return {"member": user.memberships.exists(), "datasets": datasets, "jobs": False}


def _counts(jobs: OrganizationQuerySet, since: datetime) -> dict[str, int]:
    """How many run, wait, failed and were completed; the last two lately."""
    lately = Q(ended_at__gte=since)
    wanted = Q(state__in=[*ACTIVE, JobState.QUEUED]) | (Q(state__in=[JobState.FAILED, JobState.COMPLETED]) & lately)
    found = jobs.order_by().filter(wanted).values_list("state").annotate(Count("pk"))
    states: dict[str, int] = dict(found)
    return {
        "running": sum(states.get(state, 0) for state in ACTIVE),
        "waiting": states.get(JobState.QUEUED, 0),
        "failed": states.get(JobState.FAILED, 0),
        "finished": states.get(JobState.COMPLETED, 0),
    }


def _waiting(jobs: OrganizationQuerySet, workers: list[WorkerSeen]) -> list[WaitingJob]:
    waiting = list(jobs.filter(state=JobState.QUEUED).annotate(turn=TURN).order_by("turn", "id")[:SHOWN])
    places = queue_places() if waiting else {}
    return [WaitingJob(job, places.get(job.pk), waiting_reason(job, workers)) for job in waiting]


def _finished(jobs: list[TrainingJob]) -> list[FinishedJob]:
    trainers = trainers_all()
    primary = {job.pk: trainers[job.trainer].primary(job.task_type) if job.trainer in trainers else "" for job in jobs}
    summaries = MetricSummary.objects.filter(job__in=primary, name__in=set(primary.values()) - {""})
    found = {(one.job_id, one.name): one for one in summaries}
    return [_finished_one(job, primary[job.pk], found.get((job.pk, primary[job.pk]))) for job in jobs]


def _finished_one(job: TrainingJob, metric: str, summary: MetricSummary | None) -> FinishedJob:
    if summary is None:
        return FinishedJob(job, metric, None, None)
    best = summary.latest if summary.best is None else summary.best
    return FinishedJob(job, metric, best, summary.best_epoch)
