"""REST: presets, and jobs from a document in which everything is called by its name."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from ninja import Query, Router, Schema, Status
from pydantic import Field

from training.api.rest_job_rows import RunOptionsIn
from training.api.rest_pages import Id, Page, PageQuery, Text, caller_of, one_of, page_answer
from training.api.rest_projects import organization_for
from training.jobs import presets
from training.jobs.described import job_describe
from training.jobs.document import document_checked
from training.models import JobPreset, JobState
from training.people.keys import Caller
from training.people.roles import Action, allowed, require
from training.trainers import trainer_get

router = Router(tags=["presets"])
Name = Annotated[str, Field(max_length=presets.NAME_LENGTH, examples=["night shift"])]
Settings = Annotated[dict[str, Any], Field(examples=[{"epochs": 50, "imgsz": 640}])]


class PresetIn(Schema):
    organization: Annotated[Id | None, Field(description="Needed if you are in several.", examples=[None])] = None
    trainer: Annotated[str, Field(max_length=64, examples=["ultralytics"])]
    task_type: Annotated[str, Field(max_length=32, examples=["detection"])]
    name: Name
    settings: Settings


class PresetChange(Schema):
    settings: Settings


class PresetOut(Schema):
    id: int
    name: str
    organization_id: int
    trainer: str
    task_type: str
    settings: Annotated[dict[str, Any], Field(description="Those that differ from the trainer's defaults.")]
    updated_at: datetime

    @staticmethod
    def resolve_settings(preset: JobPreset) -> Any:
        return preset.config


class Presets(Page):
    items: list[PresetOut]


class PresetQuery(PageQuery):
    trainer: Text = ""
    task_type: Text = ""


class DocumentIn(RunOptionsIn):
    """As the page of a new job shows it; everything by its name."""

    organization: Annotated[str, Field(max_length=60, description="Its short name; needed if you are in several.")] = ""
    project: Annotated[str, Field(max_length=120, examples=["Bottles"])]
    experiment: Annotated[str, Field(max_length=120)] = ""
    name: Annotated[str, Field(max_length=200)] = ""
    trainer: Annotated[str, Field(max_length=64, examples=["ultralytics"])]
    dataset: Annotated[str, Field(max_length=120, examples=["bottles"])] = ""
    model: Annotated[str, Field(max_length=120, examples=["yolo11n.yaml"])] = ""
    pretrained: Annotated[
        str, Field(max_length=120, description="Kept weights by their name, in place of a model.", examples=[""])
    ] = ""
    settings: Settings = {}
    parent: Annotated[
        Id | None, Field(description="The number of a completed job, from whose weights this one starts.")
    ] = None
    weights: Annotated[
        Literal["best", "last"] | None, Field(description="Which of the parent's checkpoints: the best, if not given.")
    ] = None


class JobMade(Schema):
    id: int
    name: str
    state: JobState
    url: Annotated[str, Field(description="Its page.")]


@router.get("/presets", response=Presets, url_name="preset-list")
def preset_list(request: HttpRequest, wanted: Query[PresetQuery]) -> Any:
    """The presets of your organizations, newest first."""
    caller = caller_of(request)
    exact = {name: value for name in ("trainer", "task_type") if (value := getattr(wanted, name))}
    rows = presets.presets_visible(caller.user, caller.organization_id).filter(**exact)
    return page_answer(rows, wanted)


@router.post("/presets", response={201: PresetOut}, url_name="preset-create")
def preset_save(request: HttpRequest, body: PresetIn) -> Any:
    """Keep settings under a name, for a trainer and a task."""
    caller = caller_of(request)
    organization = organization_for(caller, body.organization)
    require(caller.user, Action.CREATE_PRESET, organization)
    _settings_allowed(caller, organization, body.trainer, body.settings)
    made = presets.preset_save(organization, body.trainer, body.task_type, body.name, body.settings, caller.user)
    return Status(201, made)


@router.patch("/presets/{int:preset_id}", response=PresetOut, url_name="preset")
def preset_change(request: HttpRequest, preset_id: int, body: PresetChange) -> Any:
    """Keep other settings under its name."""
    caller = caller_of(request)
    preset = _preset_for(caller, preset_id)
    _settings_allowed(caller, preset, preset.trainer, body.settings)
    return presets.preset_update(preset, body.settings)


@router.delete("/presets/{int:preset_id}", response={204: None}, url_name="preset")
def preset_delete(request: HttpRequest, preset_id: int) -> Any:
    """Forget it; jobs made with it keep their settings."""
    presets.preset_delete(_preset_for(caller_of(request), preset_id))
    return Status(204, None)


@router.post("/jobs/described", response={201: JobMade}, tags=["jobs"], url_name="job-described")
def job_described(request: HttpRequest, body: DocumentIn) -> Any:
    """Make a job from a document, as the page of a new job shows it, and queue it."""
    caller = caller_of(request)
    key = request.headers.get("Idempotency-Key") or None
    document = document_checked({name: value for name, value in body.dict().items() if value not in ("", None)})
    job = job_describe(caller.user, document, caller.organization_id, key)
    made = {"id": job.pk, "name": job.name, "state": job.state, "url": f"{settings.SITE_URL}/jobs/{job.pk}/"}
    return Status(201, made)


def _preset_for(caller: Caller, preset_id: int) -> JobPreset:
    preset: JobPreset = one_of(presets.presets_visible(caller.user, caller.organization_id), preset_id)
    require(caller.user, Action.EDIT_PRESET, preset)
    return preset


def _settings_allowed(caller: Caller, what: Any, trainer: str, config: dict[str, Any]) -> None:
    advanced = trainer_get(trainer).advanced_changed(config)
    if advanced and not allowed(caller.user, Action.USE_ADVANCED_SETTINGS, what):
        raise PermissionDenied(f"Your role does not allow you to change {', '.join(advanced)}.")
