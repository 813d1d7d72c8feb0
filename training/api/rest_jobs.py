"""REST: training jobs: found, moved in their queue, started, cancelled, run again."""

from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from training.api.rest_job_rows import JobOut, PriorityName, job_for, job_out, jobs_out
from training.api.rest_pages import Archived, Id, Page, PageQuery, Text, caller_of, page_answer, with_archived
from training.jobs import selectors, services
from training.models import JobState, Priority
from training.people.roles import Action

router = Router(tags=["jobs"])


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
    archived: Archived = "false"


class JobPatch(Schema):
    priority: PriorityName


class RestartIn(Schema):
    source: Annotated[
        Literal["last", "beginning"], Field(alias="from", description="`last`: go on from the last checkpoint.")
    ] = "beginning"
    batch_size: Annotated[int | None, Field(ge=1, description="Another batch size, as a recorded change.")] = None


@router.get("/jobs", response=Jobs, url_name="job-list")
def job_list(request: HttpRequest, wanted: Query[JobQuery]) -> Any:
    """Your jobs, newest first, without the archived ones; `state` may be given several times."""
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
    rows = with_archived(selectors.jobs_visible(caller.user, caller.organization_id), wanted.archived)
    page = page_answer(rows.filter(**{field: value for field, value in exact.items() if value}), wanted)
    return page | {"items": jobs_out(page["items"])}


@router.get("/jobs/{int:job_id}", response=JobOut, url_name="job")
def job_get(request: HttpRequest, job_id: int) -> Any:
    """One job, with its progress."""
    return job_out(caller_of(request), job_id)


@router.patch("/jobs/{int:job_id}", response=JobOut, url_name="job")
def job_patch(request: HttpRequest, job_id: int, body: JobPatch) -> Any:
    """Move a job up or down in its queue; `high` is for managers and above."""
    caller = caller_of(request)
    job = job_for(caller, job_id, Action.PRIORITIZE_JOB)
    services.job_prioritize(job, caller.user, Priority[body.priority.upper()])
    return job_out(caller, job_id)


@router.post("/jobs/{int:job_id}/start", response=JobOut, url_name="job-start")
def job_start(request: HttpRequest, job_id: int) -> Any:
    """Queue a draft."""
    caller = caller_of(request)
    services.job_start(job_for(caller, job_id, Action.START_JOB), caller.user)
    return job_out(caller, job_id)


@router.post("/jobs/{int:job_id}/cancel", response=JobOut, url_name="job-cancel")
def job_cancel(request: HttpRequest, job_id: int) -> Any:
    """Stop it: at once while it waits, else by asking its trainer, which saves its last checkpoint first."""
    caller = caller_of(request)
    services.job_cancel(job_for(caller, job_id, Action.CANCEL_JOB), caller.user)
    return job_out(caller, job_id)


@router.post("/jobs/{int:job_id}/restart", response=JobOut, url_name="job-restart")
def job_restart(request: HttpRequest, job_id: int, body: RestartIn | None = None) -> Any:
    """Run an ended job again, as a new attempt: from the beginning, or from its last checkpoint."""
    caller, wanted = caller_of(request), body or RestartIn()
    changes = {"batch_size": wanted.batch_size} if wanted.batch_size else {}
    services.job_restart(job_for(caller, job_id, Action.RESTART_JOB), caller.user, wanted.source, changes)
    return job_out(caller, job_id)
