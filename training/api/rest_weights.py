"""REST: pretrained weights (listed, uploaded in parts, deleted) and the artifacts of a job."""

from datetime import datetime
from typing import Annotated, Any

from django.core.exceptions import ValidationError
from django.http import HttpRequest
from ninja import Query, Router, Schema, Status
from pydantic import Field

from training.api.problems import Refusal
from training.api.rest_pages import Id, Page, PageQuery, Text, caller_of, one_of, page_answer
from training.jobs.selectors import jobs_visible
from training.models import Artifact, Organization, PretrainedWeights
from training.people.keys import Caller
from training.people.roles import Action, require
from training.storage.store import internal_store
from training.weights import (
    MAX_BYTES,
    WeightsInUse,
    weights_begin,
    weights_delete,
    weights_finish,
    weights_upload,
    weights_visible,
)

router = Router()
LINK_SECONDS = 300


class WeightsQuery(PageQuery):
    framework: Text = ""
    task_type: Text = ""
    name: Annotated[Text, Field(description="Part of the name.")] = ""


class WeightsIn(Schema):
    organization: Annotated[Id, Field(examples=[1])]
    name: Annotated[str, Field(min_length=1, max_length=120, examples=["yolo11n of the hub"])]
    framework: Annotated[str, Field(max_length=64, examples=["ultralytics"])]
    task_type: Annotated[str, Field(max_length=32, examples=["detection"])]
    filename: Annotated[str, Field(max_length=200, description="Its ending counts.", examples=["yolo11n.pt"])]
    size: Annotated[int, Field(ge=1, le=MAX_BYTES, description="In bytes.", examples=[5613764])]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class WeightsOut(Schema):
    id: int
    name: str
    organization_id: int
    framework: str
    task_type: str
    size: int
    sha256: str
    stored_at: Annotated[datetime | None, Field(description="Null until the upload is finished.")]
    created_by: str | None
    created_at: datetime

    @staticmethod
    def resolve_created_by(weights: PretrainedWeights) -> str | None:
        return weights.created_by.get_username() if weights.created_by else None


class WeightsPage(Page):
    items: list[WeightsOut]


class UploadOut(Schema):
    url: Annotated[str, Field(description="PUT the file here in parts, each with `Content-Range: bytes 0-8388607/N`.")]
    part_size: Annotated[int, Field(description="The most bytes of a part.")]


class WeightsBegun(Schema):
    weights: WeightsOut
    upload: UploadOut


class ArtifactOut(Schema):
    id: int
    kind: str
    name: str
    epoch: int | None
    attempt: int
    size: int
    sha256: str
    content_type: str
    url: Annotated[str, Field(description="Good for five minutes.")]
    created_at: datetime

    @staticmethod
    def resolve_attempt(artifact: Artifact) -> int:
        return artifact.attempt.number

    @staticmethod
    def resolve_url(artifact: Artifact) -> str:
        return internal_store().presign_get(artifact.key, LINK_SECONDS, artifact.name)


class Artifacts(Page):
    items: list[ArtifactOut]


@router.get("/weights", response=WeightsPage, tags=["weights"], url_name="weights-list")
def weights_list(request: HttpRequest, wanted: Query[WeightsQuery]) -> Any:
    """Your organizations' weights, newest first."""
    caller = caller_of(request)
    exact = {"framework": wanted.framework, "task_type": wanted.task_type, "name__icontains": wanted.name}
    rows = weights_visible(caller.user, caller.organization_id)
    return page_answer(rows.filter(**{field: value for field, value in exact.items() if value}), wanted)


@router.post("/weights", response={201: WeightsBegun}, tags=["weights"], url_name="weights-create")
def weights_create(request: HttpRequest, body: WeightsIn) -> Any:
    """Begin an upload: PUT the parts to `upload.url`, then `finish`. The same body again goes on with the same."""
    caller = caller_of(request)
    organization = _organization(caller, body.organization)
    require(caller.user, Action.UPLOAD_WEIGHTS, organization)
    weights = weights_begin(caller.user, organization, **body.dict(exclude={"organization"}))
    return Status(201, {"weights": weights, "upload": weights_upload(weights)})


@router.get("/weights/{int:weights_id}", response=WeightsOut, tags=["weights"], url_name="weights")
def weights_get(request: HttpRequest, weights_id: int) -> Any:
    """One file of weights."""
    return _one(caller_of(request), weights_id)


@router.post("/weights/{int:weights_id}/finish", response=WeightsOut, tags=["weights"], url_name="weights-finish")
def weights_done(request: HttpRequest, weights_id: int) -> Any:
    """The last part has been sent: the file is checked, and jobs may begin from it; 409 where it is not whole."""
    caller = caller_of(request)
    weights = _one(caller, weights_id)
    require(caller.user, Action.UPLOAD_WEIGHTS, weights.organization)
    try:
        return weights_finish(weights)
    except ValidationError as refusal:
        raise Refusal(409, " ".join(refusal.messages)) from refusal


@router.delete("/weights/{int:weights_id}", response={204: None}, tags=["weights"], url_name="weights-remove")
def weights_remove(request: HttpRequest, weights_id: int) -> Any:
    """Remove them; 409 while a job began from them."""
    caller = caller_of(request)
    weights = _one(caller, weights_id)
    require(caller.user, Action.DELETE_WEIGHTS, weights)
    try:
        weights_delete(weights)
    except WeightsInUse as refusal:
        raise Refusal(409, str(refusal)) from refusal
    return Status(204, None)


@router.get("/jobs/{int:job_id}/artifacts", response=Artifacts, tags=["jobs"], url_name="job-artifacts")
def job_artifacts(request: HttpRequest, job_id: int, wanted: Query[PageQuery]) -> Any:
    """The pictures and tables that a job has left, newest first."""
    caller = caller_of(request)
    job = one_of(jobs_visible(caller.user, caller.organization_id), job_id)
    return page_answer(job.artifacts.select_related("attempt"), wanted)


def _one(caller: Caller, weights_id: int) -> PretrainedWeights:
    found: PretrainedWeights = one_of(weights_visible(caller.user, caller.organization_id), weights_id)
    return found


def _organization(caller: Caller, organization_id: int) -> Organization:
    """One that the caller belongs to, and that the key is for; another is not there."""
    found = caller.user.organizations.filter(pk=organization_id).first()
    if found is None or caller.organization_id not in (None, organization_id):
        raise Refusal(404, "There is no such thing here.")
    return found
