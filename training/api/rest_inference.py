"""REST: trying a job's model on a picture, and what it saw."""

from datetime import datetime
from typing import Annotated, Any

from django.conf import settings
from django.http import HttpRequest
from ninja import File, Query, Router, Schema, Status
from ninja.files import UploadedFile
from pydantic import Field

from training.api.rest_pages import Page, PageQuery, caller_of, one_of, page_answer
from training.inference.selectors import inferences_visible
from training.inference.services import inference_create
from training.jobs.selectors import jobs_visible
from training.models import InferenceJob, InferenceState
from training.people.keys import Caller
from training.people.roles import Action, require

router = Router(tags=["inference"])


class InferenceOut(Schema):
    id: int
    job_id: int
    state: InferenceState
    picture_name: str
    width: int
    height: int
    result: Annotated[
        dict[str, Any],
        Field(
            description="`objects` or `scores`, the likeliest first. Places are shares of the picture.",
            examples=[{"task": "detect", "milliseconds": 41, "objects": [{"class": 0, "name": "cat", "score": 0.9}]}],
        ),
    ]
    error: str
    created_by: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None

    @staticmethod
    def resolve_created_by(inference: InferenceJob) -> str | None:
        return inference.created_by.get_username() if inference.created_by else None


class Inferences(Page):
    items: list[InferenceOut]


@router.post("/jobs/{int:job_id}/inference", response={202: InferenceOut}, url_name="inference-create")
def inference_begin(request: HttpRequest, job_id: int, picture: Annotated[UploadedFile, File()]) -> Any:
    """Have a worker try the job's best checkpoint on a picture (`multipart/form-data`); ask for the result later."""
    caller = caller_of(request)
    job = _job(caller, job_id)
    require(caller.user, Action.TEST_MODEL, job)
    content = picture.read(settings.INFERENCE_MAX_MB * 1024 * 1024 + 1)
    return Status(202, inference_create(caller.user, job, content, str(picture.name)))


@router.get("/jobs/{int:job_id}/inference", response=Inferences, url_name="job-inferences")
def job_inferences(request: HttpRequest, job_id: int, wanted: Query[PageQuery]) -> Any:
    """The tests of a job, newest first."""
    job = _job(caller_of(request), job_id)
    return page_answer(job.inferences.select_related("created_by"), wanted)


@router.get("/inference/{int:inference_id}", response=InferenceOut, url_name="inference")
def inference_get(request: HttpRequest, inference_id: int) -> Any:
    """One test: its state, and what the model saw once it is completed."""
    caller = caller_of(request)
    return one_of(inferences_visible(caller.user, caller.organization_id), inference_id)


def _job(caller: Caller, job_id: int) -> Any:
    return one_of(jobs_visible(caller.user, caller.organization_id), job_id)
