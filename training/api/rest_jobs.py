"""REST: training jobs, what they have said, and what may be done with them."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest
from ninja import Query, Router, Schema, Status
from pydantic import Field

from training.api.problems import Refusal
from training.api.rest_pages import Id, Page, PageQuery, Text, caller_of, one_of, page_answer
from training.datasets.selectors import dataset_list
from training.jobs import selectors, services
from training.jobs.backends import backends_still
from training.jobs.lines import LineFilter, lines_between
from training.jobs.resume import weights_of
from training.jobs.watch_options import NAMES as WATCH
from training.jobs.watch_options import WatchOptions
from training.models import Checkpoint, JobState, LogLevel, Priority, TrainingJob
from training.people.keys import Caller
from training.people.roles import Action, allowed, require
from training.projects.selectors import experiments_visible
from training.trainers import trainer_get
from training.weights import weights_visible

router = Router(tags=["jobs"])
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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


class Jobs(Page):
    items: list[JobOut]


class JobQuery(PageQuery):
    state: list[JobState] = []
    trainer: Text = ""
    task_type: Text = ""
    model_name: Text = ""
    queue: Text = ""
    project: Id | None = None
    experiment: Id | None = None
    dataset: Id | None = None
    created_by: Annotated[Text, Field(description="A user name.")] = ""
    name: Annotated[Text, Field(description="Part of the job's name.")] = ""


class JobIn(Schema):
    experiment: Annotated[Id, Field(examples=[3])]
    trainer: Annotated[str, Field(max_length=64, examples=["ultralytics"])]
    model_name: Annotated[str, Field(max_length=120, examples=["yolo11n.yaml"])] = ""
    pretrained: Annotated[Id | None, Field(description="Kept weights to begin from, in place of a model.")] = None
    dataset: Annotated[Id | None, Field(examples=[7])] = None
    task_type: Annotated[str, Field(max_length=32, examples=["detection"])] = ""
    name: Annotated[str, Field(max_length=200, examples=["Bottles, 50 epochs"])] = ""
    config: Annotated[dict[str, Any], Field(examples=[{"epochs": 50, "imgsz": 640}])] = {}
    observability_backends: Annotated[
        list[Annotated[str, Field(max_length=64)]] | None,
        Field(max_length=50, examples=[["mlflow"]], description="Of those configured; all if not given."),
    ] = None
    parent: Annotated[Id | None, Field(description="A completed job, from whose weights this one starts.")] = None
    weights: Annotated[Literal["best", "last"], Field(description="Which of the parent's checkpoints.")] = "best"
    time_limit_hours: Annotated[float | None, Field(gt=0, lt=1e6, description="For one attempt.")] = None
    memory_limit_gb: Annotated[float | None, Field(gt=0, lt=1e6, description="GB of 10^9 bytes.")] = None
    stop_at_nan: Annotated[bool, Field(description="End it at the first value that is no number.")] = False
    patience: Annotated[
        int | None, Field(ge=1, le=100_000, description="Stop after so many epochs without a better primary metric.")
    ] = None
    watched_metrics: Annotated[
        str,
        Field(
            max_length=500, examples=["train/*,val/*"], description="Whose values have to be numbers; all, if empty."
        ),
    ] = ""
    priority: Annotated[PriorityName, Field(description="`high` is for managers and above.")] = "normal"


class JobPatch(Schema):
    priority: PriorityName


class RestartIn(Schema):
    source: Annotated[
        Literal["last", "beginning"], Field(alias="from", description="`last`: go on from the last checkpoint.")
    ] = "beginning"
    batch_size: Annotated[int | None, Field(ge=1, description="Another batch size, as a recorded change.")] = None


class CloneIn(Schema):
    """What is to be different; the rest is as in the job."""

    experiment: Annotated[Id | None, Field(examples=[3])] = None
    model_name: Annotated[str | None, Field(max_length=120, examples=["yolo11s.yaml"])] = None
    dataset: Annotated[Id | None, Field(examples=[7])] = None
    name: Annotated[str | None, Field(max_length=200, examples=["Bottles, a larger model"])] = None
    config: Annotated[dict[str, Any], Field(examples=[{"epochs": 100}])] = {}


class LogQuery(Schema):
    level: Literal["debug", "info", "warning", "error"] = "debug"
    source: Text = ""
    text: Text = ""
    since: Annotated[datetime | None, Field(description="ISO 8601, or seconds since 1970.")] = None
    until: datetime | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class LineOut(Schema):
    seq: int
    n: Annotated[int, Field(description="Its place among the lines of the same `seq`.")]
    time: Annotated[float, Field(description="Seconds since 1970.")]
    level: str
    source: str
    message: str


class Lines(Schema):
    items: list[LineOut]
    total: int


@router.get("/jobs", response=Jobs, url_name="job-list")
def job_list(request: HttpRequest, wanted: Query[JobQuery]) -> Any:
    """Your jobs, newest first; `state` may be given several times."""
    caller = caller_of(request)
    exact = {
        "trainer": wanted.trainer,
        "task_type": wanted.task_type,
        "model_name": wanted.model_name,
        "queue": wanted.queue,
        "experiment__project": wanted.project,
        "experiment": wanted.experiment,
        "dataset": wanted.dataset,
        "created_by__username": wanted.created_by,
        "name__icontains": wanted.name,
        "state__in": wanted.state,
    }
    rows = selectors.jobs_visible(caller.user, caller.organization_id)
    page = page_answer(rows.filter(**{field: value for field, value in exact.items() if value}), wanted)
    return page | {"items": _jobs_out(page["items"])}


@router.post("/jobs", response={201: JobOut}, url_name="job-create")
def job_create(request: HttpRequest, body: JobIn) -> Any:
    """Make a job and queue it."""
    return _created(request, body)


@router.post("/jobs/{int:job_id}/clone", response={201: JobOut}, url_name="job-clone")
def job_clone(request: HttpRequest, job_id: int, body: CloneIn) -> Any:
    """Make a job like this one, but for what the body says; settings in `config` are changed one by one."""
    job = _visible(caller_of(request), job_id)
    told = body.model_dump(exclude_none=True)
    same = {
        "experiment": job.experiment_id,
        "trainer": job.trainer,
        **({} if "model_name" in told else {"pretrained": job.weights_id}),
        "model_name": job.model_name,
        "dataset": job.dataset_id,
        "task_type": "" if "dataset" in told else job.task_type,
        "name": f"{job.name[:193]} (copy)",
        "observability_backends": backends_still(job.observability_backends),
        **asdict(WatchOptions.of_job(job)),
    }
    config = {**job.config, **told.pop("config", {})}
    return _created(request, JobIn(**{**same, **told, "config": config}))


@router.get("/jobs/{int:job_id}", response=JobOut, url_name="job")
def job_get(request: HttpRequest, job_id: int) -> Any:
    """One job, with its progress."""
    return _job_out(caller_of(request), job_id)


@router.patch("/jobs/{int:job_id}", response=JobOut, url_name="job")
def job_patch(request: HttpRequest, job_id: int, body: JobPatch) -> Any:
    """Move a job up or down in its queue; `high` is for managers and above."""
    caller = caller_of(request)
    job = _job_for(caller, job_id, Action.PRIORITIZE_JOB)
    services.job_prioritize(job, caller.user, Priority[body.priority.upper()])
    return _job_out(caller, job_id)


@router.get("/jobs/{int:job_id}/logs", response=Lines, url_name="job-logs")
def job_logs(request: HttpRequest, job_id: int, wanted: Query[LogQuery]) -> Any:
    """Its log, oldest line first; `level` is the lowest that is wanted."""
    _visible(caller_of(request), job_id)
    level = LogLevel[wanted.level.upper()]
    filters = LineFilter(level, wanted.source, wanted.text)
    since, until = _seconds(wanted.since), _seconds(wanted.until)
    lines, total = lines_between(job_id, filters, since, until, wanted.limit, wanted.offset)
    fields = ("seq", "n", "time", "source", "message")
    items = [{name: getattr(line, name) for name in fields} | {"level": LogLevel(line.level).label} for line in lines]
    return {"items": items, "total": total}


@router.post("/jobs/{int:job_id}/start", response=JobOut, url_name="job-start")
def job_start(request: HttpRequest, job_id: int) -> Any:
    """Queue a draft."""
    caller = caller_of(request)
    services.job_start(_job_for(caller, job_id, Action.START_JOB), caller.user)
    return _job_out(caller, job_id)


@router.post("/jobs/{int:job_id}/cancel", response=JobOut, url_name="job-cancel")
def job_cancel(request: HttpRequest, job_id: int) -> Any:
    """Stop it: at once while it waits, else by asking its trainer, which saves its last checkpoint first."""
    caller = caller_of(request)
    services.job_cancel(_job_for(caller, job_id, Action.CANCEL_JOB), caller.user)
    return _job_out(caller, job_id)


@router.post("/jobs/{int:job_id}/restart", response=JobOut, url_name="job-restart")
def job_restart(request: HttpRequest, job_id: int, body: RestartIn | None = None) -> Any:
    """Run an ended job again, as a new attempt: from the beginning, or from its last checkpoint."""
    caller, wanted = caller_of(request), body or RestartIn()
    changes = {"batch_size": wanted.batch_size} if wanted.batch_size else {}
    services.job_restart(_job_for(caller, job_id, Action.RESTART_JOB), caller.user, wanted.source, changes)
    return _job_out(caller, job_id)


def _created(request: HttpRequest, body: JobIn) -> Any:
    """A job by its body. Its own row knows the Idempotency-Key too: it is made once even if its maker dies."""
    caller = caller_of(request)
    key = request.headers.get("Idempotency-Key") or None
    experiment = one_of(experiments_visible(caller.user, caller.organization_id), body.experiment)
    dataset = one_of(dataset_list(caller.user, caller.organization_id), body.dataset) if body.dataset else None
    kept = one_of(weights_visible(caller.user, caller.organization_id), body.pretrained) if body.pretrained else None
    require(caller.user, Action.CREATE_JOB, experiment)
    _settings_allowed(caller, experiment, body)
    parent = _visible(caller, body.parent) if body.parent else None
    job = services.job_create(
        user=caller.user,
        experiment=experiment,
        trainer=body.trainer,
        model_name=body.model_name,
        dataset=dataset,
        weights=kept,
        config=body.config,
        name=body.name,
        task_type=body.task_type,
        observability_backends=body.observability_backends,
        idempotency_key=key,
        weights_from=_weights(parent, body.weights) if parent else None,
        time_limit_hours=body.time_limit_hours,
        memory_limit_gb=body.memory_limit_gb,
        priority=Priority[body.priority.upper()],
        watch=WatchOptions.of(body.model_dump(include=set(WATCH))),
    )
    if not _same(job, body):
        raise Refusal(409, "This Idempotency-Key has been used for another job.")
    return Status(201, _job_out(caller, job.pk))


def _weights(parent: TrainingJob, kind: str) -> Checkpoint:
    found = weights_of(parent, kind)
    if found is None:
        raise ValidationError({"weights": f"Job {parent.pk} has no {kind} checkpoint."})
    return found


def _visible(caller: Caller, job_id: int) -> TrainingJob:
    job: TrainingJob = one_of(selectors.jobs_visible(caller.user, caller.organization_id), job_id)
    return job


def _job_for(caller: Caller, job_id: int, action: Action) -> TrainingJob:
    job = _visible(caller, job_id)
    require(caller.user, action, job)
    return job


def _settings_allowed(caller: Caller, experiment: Any, body: JobIn) -> None:
    advanced = trainer_get(body.trainer).advanced_changed(body.config)
    if advanced and not allowed(caller.user, Action.USE_ADVANCED_SETTINGS, experiment):
        raise PermissionDenied(f"Your role does not allow you to change {', '.join(advanced)}.")


def _same(job: TrainingJob, body: JobIn) -> bool:
    """Whether the job is what this body asks for, or what an earlier one with the same key asked for."""
    wanted = (
        body.experiment,
        body.trainer,
        body.pretrained,
        body.model_name if body.pretrained is None and body.parent is None else job.model_name,
        body.dataset,
        trainer_get(body.trainer).config_clean(body.config),
        body.parent,
        WatchOptions(body.stop_at_nan, body.patience, body.watched_metrics.strip()),
    )
    chosen = body.observability_backends
    same_backends = chosen is None or {"database", *chosen} == set(job.observability_backends)
    return same_backends and wanted == (
        job.experiment_id,
        job.trainer,
        job.weights_id,
        job.model_name,
        job.dataset_id,
        job.config,
        job.parent_id,
        WatchOptions.of_job(job),
    )


def _job_out(caller: Caller, job_id: int) -> dict[str, Any]:
    return _jobs_out([_visible(caller, job_id)])[0]


def _jobs_out(jobs: list[TrainingJob]) -> list[dict[str, Any]]:
    return [_row_out(row) for row in selectors.job_rows(jobs)]


def _row_out(row: selectors.JobRow) -> dict[str, Any]:
    job = row.job
    project = job.experiment.project
    same = ("id", "name", "state", "state_reason", "trainer", "task_type", "model_name", "config", "attempt")
    times = (*WATCH, "error_type", "error_code", "error_message", "created_at", "queued_at", "started_at", "ended_at")
    return {name: getattr(job, name) for name in (*same, *times)} | {
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


def _seconds(time: datetime | None) -> float | None:
    if time is None:
        return None
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - EPOCH).total_seconds()
