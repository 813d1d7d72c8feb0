"""REST: jobs made, from nothing or after another one."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest
from ninja import Schema, Status
from pydantic import Field

from training.api.problems import Refusal
from training.api.rest_job_rows import JobOut, RunOptionsIn, job_out, job_visible
from training.api.rest_jobs import router as router  # an address that lists and makes has one router for both
from training.api.rest_pages import Id, caller_of, one_of
from training.datasets.selectors import dataset_list
from training.jobs import services
from training.jobs.backends import backends_still
from training.jobs.resume import weights_of
from training.jobs.watch_options import NAMES as WATCH
from training.jobs.watch_options import WatchOptions
from training.models import Checkpoint, Priority, TrainingJob
from training.people.keys import Caller
from training.people.roles import Action, allowed, require
from training.projects.selectors import experiments_visible
from training.trainers import trainer_get
from training.weights import weights_visible


class JobIn(RunOptionsIn):
    experiment: Annotated[Id, Field(examples=[3])]
    trainer: Annotated[str, Field(max_length=64, examples=["ultralytics"])]
    model_name: Annotated[str, Field(max_length=120, examples=["yolo11n.yaml"])] = ""
    pretrained: Annotated[Id | None, Field(description="Kept weights to begin from, in place of a model.")] = None
    dataset: Annotated[Id | None, Field(examples=[7])] = None
    task_type: Annotated[str, Field(max_length=32, examples=["detection"])] = ""
    name: Annotated[str, Field(max_length=200, examples=["Bottles, 50 epochs"])] = ""
    config: Annotated[dict[str, Any], Field(examples=[{"epochs": 50, "imgsz": 640}])] = {}
    parent: Annotated[Id | None, Field(description="A completed job, from whose weights this one starts.")] = None
    weights: Annotated[Literal["best", "last"], Field(description="Which of the parent's checkpoints.")] = "best"


class CloneIn(Schema):
    """What is to be different; the rest is as in the job."""

    experiment: Annotated[Id | None, Field(examples=[3])] = None
    model_name: Annotated[str | None, Field(max_length=120, examples=["yolo11s.yaml"])] = None
    dataset: Annotated[Id | None, Field(examples=[7])] = None
    name: Annotated[str | None, Field(max_length=200, examples=["Bottles, a larger model"])] = None
    config: Annotated[dict[str, Any], Field(examples=[{"epochs": 100}])] = {}


@router.post("/jobs", response={201: JobOut}, url_name="job-create")
def job_create(request: HttpRequest, body: JobIn) -> Any:
    """Make a job and queue it."""
    return _created(request, body)


@router.post("/jobs/{int:job_id}/clone", response={201: JobOut}, url_name="job-clone")
def job_clone(request: HttpRequest, job_id: int, body: CloneIn) -> Any:
    """Make a job like this one, but for what the body says; settings in `config` are changed one by one."""
    job = job_visible(caller_of(request), job_id)
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
        "time_limit_hours": job.time_limit_hours,
        "memory_limit_gb": job.memory_limit_gb,
        **asdict(WatchOptions.of_job(job)),
    }
    config = {**job.config, **told.pop("config", {})}
    return _created(request, JobIn(**{**same, **told, "config": config}))


def _created(request: HttpRequest, body: JobIn) -> Any:
    """A job by its body. Its own row knows the Idempotency-Key too: it is made once even if its maker dies."""
    caller = caller_of(request)
    key = request.headers.get("Idempotency-Key") or None
    experiment = one_of(experiments_visible(caller.user, caller.organization_id), body.experiment)
    dataset = one_of(dataset_list(caller.user, caller.organization_id), body.dataset) if body.dataset else None
    kept = one_of(weights_visible(caller.user, caller.organization_id), body.pretrained) if body.pretrained else None
    require(caller.user, Action.CREATE_JOB, experiment)
    _settings_allowed(caller, experiment, body)
    parent = job_visible(caller, body.parent) if body.parent else None
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
    return Status(201, job_out(caller, job.pk))


def _weights(parent: TrainingJob, kind: str) -> Checkpoint:
    found = weights_of(parent, kind)
    if found is None:
        raise ValidationError({"weights": f"Job {parent.pk} has no {kind} checkpoint."})
    return found


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
