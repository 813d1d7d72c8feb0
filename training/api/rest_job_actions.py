"""REST: what is done with jobs that have had their time: archived, deleted, brought back, tagged; one or many."""

from datetime import datetime
from typing import Annotated, Any

from django.http import Http404, HttpRequest
from ninja import Router, Schema
from pydantic import Field

from training.api.rest_pages import Id, Text, caller_of
from training.jobs import bulk, keeping, selectors
from training.jobs import tags as tagging
from training.models import TrainingJob
from training.people.keys import Caller
from training.people.roles import Action, require

router = Router(tags=["jobs"])
Tag = Annotated[Text, Field(examples=["baseline"])]


class KeptOut(Schema):
    id: int
    archived_at: datetime | None
    deleted_at: Annotated[datetime | None, Field(description="Deleted jobs are removed for good after some days.")]
    tags: list[str]


class TagsIn(Schema):
    tags: Annotated[list[Tag], Field(max_length=tagging.MOST, examples=[["baseline", "night shift"]])]


class BulkIn(Schema):
    action: Annotated[bulk.Bulk, Field(examples=["archive"])]
    jobs: Annotated[list[Id], Field(min_length=1, max_length=bulk.MOST, examples=[[41, 42]])]
    tags: Annotated[list[Tag], Field(max_length=tagging.MOST, description="For `tag` and `untag`.")] = []


class OutcomeOut(Schema):
    id: int
    done: bool
    reason: Annotated[str, Field(description="Why it was not done; empty if it was.")]


class Outcomes(Schema):
    items: list[OutcomeOut]


@router.post("/jobs/{int:job_id}/archive", response=KeptOut, url_name="job-archive")
def job_archive(request: HttpRequest, job_id: int) -> Any:
    """Leave an ended job out of lists that do not ask for it. A repeat changes nothing."""
    return _kept_out(keeping.job_archive(_job_for(caller_of(request), job_id, Action.ARCHIVE_JOB)))


@router.post("/jobs/{int:job_id}/unarchive", response=KeptOut, url_name="job-unarchive")
def job_unarchive(request: HttpRequest, job_id: int) -> Any:
    """Put an archived job back into the lists. A repeat changes nothing."""
    return _kept_out(keeping.job_unarchive(_job_for(caller_of(request), job_id, Action.ARCHIVE_JOB)))


@router.post("/jobs/{int:job_id}/delete", response=KeptOut, url_name="job-delete")
def job_delete(request: HttpRequest, job_id: int) -> Any:
    """Delete an ended job: 404 from now on, but for `undelete`. Running and waiting ones are refused (409)."""
    caller = caller_of(request)
    return _kept_out(keeping.job_delete(_job_for(caller, job_id, Action.DELETE_JOB, deleted=True), caller.user))


@router.post("/jobs/{int:job_id}/undelete", response=KeptOut, url_name="job-undelete")
def job_undelete(request: HttpRequest, job_id: int) -> Any:
    """Bring a deleted job back as it was, while its days last. A repeat changes nothing."""
    return _kept_out(keeping.job_undelete(_job_for(caller_of(request), job_id, Action.DELETE_JOB, deleted=True)))


@router.get("/jobs/{int:job_id}/tags", response=TagsIn, url_name="job-tags")
def job_tags(request: HttpRequest, job_id: int) -> Any:
    """Its tags, by name."""
    return {"tags": _names(_job_for(caller_of(request), job_id, Action.SEE))}


@router.put("/jobs/{int:job_id}/tags", response=TagsIn, url_name="job-tags")
def job_tags_set(request: HttpRequest, job_id: int, body: TagsIn) -> Any:
    """Give it exactly these tags."""
    return {"tags": tagging.job_tags_set(_job_for(caller_of(request), job_id, Action.TAG_JOB), body.tags)}


@router.post("/job-actions", response=Outcomes, url_name="job-bulk")
def job_bulk(request: HttpRequest, body: BulkIn) -> Any:
    """Do one thing to many jobs: each is done or refused by itself. Jobs that you can't see are refused alike."""
    caller = caller_of(request)
    visible = selectors.jobs_kept if body.action in bulk.OF_DELETED else selectors.jobs_visible
    found = {job.pk: job for job in visible(caller.user, caller.organization_id).filter(pk__in=body.jobs)}
    names = [tagging.tag_clean(name) for name in body.tags]
    done = {one.job.pk: one for one in bulk.jobs_bulk(caller.user, body.action, list(found.values()), names)}
    return {"items": [_outcome_out(job_id, done.get(job_id)) for job_id in dict.fromkeys(body.jobs)]}


def _job_for(caller: Caller, job_id: int, action: Action, *, deleted: bool = False) -> TrainingJob:
    """The job, if the caller may see it and do this to it; a deleted one only where the door is for those."""
    visible = selectors.jobs_kept if deleted else selectors.jobs_visible
    job = visible(caller.user, caller.organization_id).filter(pk=job_id).first()
    if job is None:
        raise Http404
    require(caller.user, action, job)
    found: TrainingJob = job
    return found


def _kept_out(job: TrainingJob) -> dict[str, Any]:
    return {"id": job.pk, "archived_at": job.archived_at, "deleted_at": job.deleted_at, "tags": _names(job)}


def _names(job: TrainingJob) -> list[str]:
    return list(job.tags.values_list("name", flat=True))


def _outcome_out(job_id: int, outcome: bulk.Outcome | None) -> dict[str, Any]:
    refusal = outcome.refusal if outcome else "There is no such job."
    return {"id": job_id, "done": not refusal, "reason": refusal}
