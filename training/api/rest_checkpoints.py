"""REST: checkpoints: listed with what they scored, and downloaded by a signed address."""

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from training.api.rest_pages import Page, PageQuery, Text, caller_of, one_of, page_answer
from training.checkpoints import checkpoint_get_url
from training.jobs.selectors import jobs_visible
from training.models import Checkpoint
from training.models.visibility import OrganizationQuerySet
from training.people.keys import Caller
from training.people.roles import Action, require
from training.retention import checkpoint_delete

router = Router(tags=["checkpoints"])


class CheckpointQuery(PageQuery):
    kind: Annotated[Text, Field(description="best, last or epoch.", examples=["best"])] = ""


class CheckpointOut(Schema):
    id: int
    job_id: int
    attempt: Annotated[int, Field(description="Which start of the job saved it.")]
    kind: Annotated[str, Field(description="best, last or epoch.", examples=["best"])]
    epoch: int | None
    step: int | None
    size: Annotated[int, Field(description="Bytes.", examples=[5_500_000])]
    sha256: Annotated[str, Field(examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"])]
    metrics: Annotated[dict[str, Any], Field(examples=[{"metrics/mAP50-95(B)": 0.61}])]
    created_at: datetime

    @staticmethod
    def resolve_attempt(checkpoint: Checkpoint) -> int:
        return checkpoint.attempt.number


class Checkpoints(Page):
    items: list[CheckpointOut]


@router.get("/jobs/{int:job_id}/checkpoints", response=Checkpoints, url_name="job-checkpoints")
def job_checkpoints(request: HttpRequest, job_id: int, wanted: Query[CheckpointQuery]) -> Any:
    """The checkpoints of a job, newest first."""
    caller = caller_of(request)
    job = one_of(jobs_visible(caller.user, caller.organization_id), job_id)
    rows = _visible(caller).filter(job=job)
    return page_answer(rows.filter(kind=wanted.kind) if wanted.kind else rows, wanted)


@router.get("/checkpoints/{int:checkpoint_id}", response=CheckpointOut, url_name="checkpoint")
def checkpoint_get(request: HttpRequest, checkpoint_id: int) -> Any:
    """One checkpoint."""
    return one_of(_visible(caller_of(request)), checkpoint_id)


@router.get(
    "/checkpoints/{int:checkpoint_id}/download",
    url_name="checkpoint-download",
    response={302: None},
    openapi_extra={"responses": {302: {"description": "`Location` is good for an hour, for whoever has it."}}},
)
def checkpoint_download(request: HttpRequest, checkpoint_id: int) -> Any:
    """Sends you to the file itself: follow it (`curl -L`)."""
    address = checkpoint_get_url(one_of(_visible(caller_of(request)), checkpoint_id))
    return HttpResponse(status=302, headers={"Location": address, "Cache-Control": "no-store"})


@router.delete("/checkpoints/{int:checkpoint_id}", response={204: None}, url_name="checkpoint-remove")
def checkpoint_remove(request: HttpRequest, checkpoint_id: int) -> Any:
    """Remove it for good; 409 while its job has not ended, or another job is to begin from it."""
    caller = caller_of(request)
    checkpoint: Checkpoint = one_of(_visible(caller), checkpoint_id)
    require(caller.user, Action.DELETE_CHECKPOINT, checkpoint.job)
    checkpoint_delete(checkpoint, by=caller.user)
    return Status(204, None)


def _visible(caller: Caller) -> OrganizationQuerySet:
    rows: OrganizationQuerySet = Checkpoint.objects.visible_to(caller.user, caller.organization_id)
    return rows.select_related("attempt", "job__experiment__project")
