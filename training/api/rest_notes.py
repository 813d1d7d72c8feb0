"""REST: what people put on experiments and jobs: notes that nobody overwrites unread, and stars."""

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Router, Schema, Status
from pydantic import Field

from training.api.problems import Refusal
from training.api.rest_experiments import ExperimentFull, experiment_of
from training.api.rest_pages import caller_of, one_of
from training.jobs.selectors import jobs_visible
from training.models import JobNotes, TrainingJob
from training.people.keys import Caller
from training.people.roles import Action, require
from training.projects.notes import (
    NOTES_LENGTH,
    NotesChanged,
    experiment_notes_write,
    job_notes,
    job_notes_write,
)
from training.projects.stars import Starred, star_set

router = Router(tags=["projects"])
NOTES, STAR = "/experiments/{int:experiment_id}/notes", "/experiments/{int:experiment_id}/star"


class NotesIn(Schema):
    notes: Annotated[str, Field(max_length=NOTES_LENGTH, examples=["Larger images helped: **0.71**."])]
    version: Annotated[int, Field(ge=0, le=2**31 - 1, description="The `notes_version` that you have read.")]


class NotesOut(Schema):
    notes: Annotated[str, Field(description="Markdown.")]
    notes_version: Annotated[int, Field(description="Give it back with your notes, so that nobody's are overwritten.")]
    notes_by: str | None
    notes_at: datetime | None

    @staticmethod
    def resolve_notes_by(noted: JobNotes) -> str | None:
        return noted.notes_by.get_username() if noted.notes_by else None


@router.put(NOTES, response=ExperimentFull, url_name="experiment-notes")
def experiment_notes(request: HttpRequest, experiment_id: int, body: NotesIn) -> Any:
    """Replace the notes; 409 where somebody has written since the version that you have read."""
    caller = caller_of(request)
    experiment = experiment_of(caller, experiment_id)
    require(caller.user, Action.EDIT_EXPERIMENT, experiment)
    try:
        experiment_notes_write(experiment, body.notes, body.version, caller.user)
    except NotesChanged as changed:
        raise _conflict(changed) from changed
    return experiment_of(caller, experiment_id)


@router.get("/jobs/{int:job_id}/notes", response=NotesOut, tags=["jobs"], url_name="job-notes")
def job_notes_get(request: HttpRequest, job_id: int) -> Any:
    """What people have written about the job."""
    return job_notes(_job(caller_of(request), job_id))


@router.put("/jobs/{int:job_id}/notes", response=NotesOut, tags=["jobs"], url_name="job-notes")
def job_notes_put(request: HttpRequest, job_id: int, body: NotesIn) -> Any:
    """Replace the notes; 409 where somebody has written since the version that you have read."""
    caller = caller_of(request)
    job = _job(caller, job_id)
    require(caller.user, Action.NOTE_JOB, job)
    try:
        return job_notes_write(job, body.notes, body.version, caller.user)
    except NotesChanged as changed:
        raise _conflict(changed) from changed


@router.put(STAR, response={204: None}, url_name="experiment-star")
def experiment_star(request: HttpRequest, experiment_id: int) -> Any:
    """Give it your star, which nobody else sees."""
    caller = caller_of(request)
    return _starred(caller, experiment_of(caller, experiment_id), True)


@router.delete(STAR, response={204: None}, url_name="experiment-star")
def experiment_unstar(request: HttpRequest, experiment_id: int) -> Any:
    """Take your star away."""
    caller = caller_of(request)
    return _starred(caller, experiment_of(caller, experiment_id), False)


@router.put("/jobs/{int:job_id}/star", response={204: None}, tags=["jobs"], url_name="job-star")
def job_star(request: HttpRequest, job_id: int) -> Any:
    """Give the job your star, which nobody else sees."""
    caller = caller_of(request)
    return _starred(caller, _job(caller, job_id), True)


@router.delete("/jobs/{int:job_id}/star", response={204: None}, tags=["jobs"], url_name="job-star")
def job_unstar(request: HttpRequest, job_id: int) -> Any:
    """Take your star away."""
    caller = caller_of(request)
    return _starred(caller, _job(caller, job_id), False)


def _job(caller: Caller, job_id: int) -> TrainingJob:
    job: TrainingJob = one_of(jobs_visible(caller.user, caller.organization_id), job_id)
    return job


def _conflict(changed: NotesChanged) -> Refusal:
    return Refusal(409, f"{changed} Read them again: they are version {changed.there.notes_version}.")


def _starred(caller: Caller, what: Starred, starred: bool) -> Any:
    star_set(caller.user, what, starred)
    return Status(204, None)
