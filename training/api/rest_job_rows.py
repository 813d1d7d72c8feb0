"""REST: a job as it is told, and the one that a caller may see and do something to."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.conf import settings
from ninja import Schema
from pydantic import Field

from training.api.rest_pages import one_of
from training.jobs import selectors
from training.jobs.watch_options import NAMES as WATCH
from training.models import JobState, Priority, TrainingJob
from training.people.keys import Caller
from training.people.roles import Action, require

PriorityName = Literal["low", "normal", "high"]


class Named(Schema):
    id: int
    name: str


class ProgressOut(Schema):
    fraction: Annotated[float | None, Field(description="From 0 to 1.")]
    epoch: int | None
    total_epochs: int | None
    step: int | None
    total_steps: int | None


class RunOptionsIn(Schema):
    """What may be said of a run in every way of making a job."""

    observability_backends: Annotated[
        list[Annotated[str, Field(max_length=64)]] | None,
        Field(max_length=50, examples=[["mlflow"]], description="Of those configured; all if not given."),
    ] = None
    time_limit_hours: Annotated[float | None, Field(gt=0, lt=1e6, description="For one attempt.")] = None
    memory_limit_gb: Annotated[float | None, Field(gt=0, lt=1e6, description="GB of 10^9 bytes.")] = None
    stop_at_nan: Annotated[bool, Field(description="End it at the first value that is no number.")] = False
    patience: Annotated[
        int | None,
        Field(
            ge=1,
            le=100_000,
            examples=[None],
            description="Stop after so many epochs without a better primary metric, if the trainer does not itself.",
        ),
    ] = None
    watched_metrics: Annotated[
        str,
        Field(
            max_length=500, examples=["train/*,val/*"], description="Whose values have to be numbers; all, if empty."
        ),
    ] = ""
    priority: Annotated[PriorityName, Field(description="`high` is for managers and above.")] = "normal"


class JobOut(Schema):
    id: int
    name: str
    url: Annotated[str, Field(description="Its page.", examples=["https://training.example.org/jobs/42/"])]
    state: JobState
    state_reason: str
    priority: PriorityName
    project: Named
    experiment: Named
    dataset: Named | None
    trainer: Annotated[str, Field(examples=["ultralytics"])]
    task_type: Annotated[str, Field(examples=["detection"])]
    model_name: Annotated[str, Field(examples=["yolo11n.yaml"])]
    pretrained: Annotated[Named | None, Field(description="The kept weights that it began from.")]
    config: dict[str, Any]
    attempt: Annotated[int, Field(description="How many times it has been started.")]
    parent: Annotated[
        int | None, Field(description="The job that it was cloned from, or whose weights it started from.")
    ]
    progress: ProgressOut
    time_limit_hours: Annotated[float | None, Field(description="Its own limit for one attempt.")]
    memory_limit_gb: float | None
    observability_backends: Annotated[list[str], Field(description="The tracking tools that hear of it.")]
    stop_at_nan: bool
    patience: int | None
    watched_metrics: str
    error_type: str
    error_code: Annotated[str, Field(description="What exactly happened.", examples=["gpu_memory", "disk_full"])]
    error_message: str
    created_by: str | None
    created_at: datetime
    queued_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    archived_at: Annotated[datetime | None, Field(description="Since when lists leave it out.")]


def job_visible(caller: Caller, job_id: int) -> TrainingJob:
    job: TrainingJob = one_of(selectors.jobs_visible(caller.user, caller.organization_id), job_id)
    return job


def job_for(caller: Caller, job_id: int, action: Action) -> TrainingJob:
    job = job_visible(caller, job_id)
    require(caller.user, action, job)
    return job


def job_out(caller: Caller, job_id: int) -> dict[str, Any]:
    return jobs_out([job_visible(caller, job_id)])[0]


def jobs_out(jobs: list[TrainingJob]) -> list[dict[str, Any]]:
    return [_row_out(row) for row in selectors.job_rows(jobs)]


def _row_out(row: selectors.JobRow) -> dict[str, Any]:
    job = row.job
    project = job.experiment.project
    same = ("id", "name", "state", "state_reason", "trainer", "task_type", "model_name", "config", "attempt")
    times = (
        "error_type",
        "error_code",
        "error_message",
        "created_at",
        "queued_at",
        "started_at",
        "ended_at",
        "archived_at",
    )
    limits = ("time_limit_hours", "memory_limit_gb")
    return {name: getattr(job, name) for name in (*same, *times, *limits, *WATCH)} | {
        "url": f"{settings.SITE_URL}/jobs/{job.pk}/",
        "priority": Priority(job.priority).name.lower(),
        "observability_backends": job.observability_backends,
        "project": {"id": project.pk, "name": project.name},
        "experiment": {"id": job.experiment.pk, "name": job.experiment.name},
        "dataset": {"id": job.dataset.pk, "name": job.dataset.name} if job.dataset else None,
        "pretrained": {"id": job.weights.pk, "name": job.weights.name} if job.weights else None,
        "progress": {name: getattr(row.progress, name) for name in ProgressOut.model_fields},
        "parent": job.parent_id,
        "created_by": job.created_by.get_username() if job.created_by else None,
    }
