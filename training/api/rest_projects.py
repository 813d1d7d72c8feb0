"""REST: projects and experiments: found, made, and changed by one person at a time."""

from datetime import datetime
from typing import Annotated, Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from training.api.rest_pages import (
    Id,
    Page,
    PageQuery,
    Text,
    caller_of,
    one_of,
    page_answer,
    version_of,
    version_require,
    version_told,
)
from training.models import Experiment, Organization, Project
from training.people.keys import Caller
from training.people.roles import Action, require
from training.projects import services
from training.projects.selectors import experiments_visible, projects_visible

router = Router(tags=["projects"])
Name = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00]*\S[^\x00]*$", examples=["Bottles"])]
Description = Annotated[str, Field(max_length=services.DESCRIPTION_LENGTH, pattern=r"^[^\x00]*$")]
Tags = Annotated[
    list[Annotated[str, Field(max_length=services.TAG_LENGTH)]], Field(max_length=services.TAGS, examples=[["night"]])
]
Match = {
    "parameters": [
        {
            "in": "header",
            "name": "If-Match",
            "required": False,
            "schema": {"type": "string", "maxLength": 200},
            "description": "The ETag that you read: 412 if somebody else has changed it since.",
        }
    ]
}


class ProjectOut(Schema):
    id: int
    name: Annotated[str, Field(examples=["Bottles"])]
    description: str
    organization_id: int
    created_at: datetime
    archived_at: datetime | None


class Projects(Page):
    items: list[ProjectOut]


class ProjectQuery(PageQuery):
    name: Annotated[Text, Field(description="Part of the name.")] = ""


class ProjectIn(Schema):
    name: Name
    organization: Annotated[Id | None, Field(description="Needed if you are in several.", examples=[None])] = None
    description: Description = ""


class ProjectChange(Schema):
    name: Name | None = None
    description: Description | None = None
    archived: bool | None = None


class ExperimentChange(Schema):
    name: Name | None = None
    tags: Tags | None = None
    archived: bool | None = None


class ExperimentQuery(PageQuery):
    project: Id | None = None
    name: Annotated[Text, Field(description="Part of the name.")] = ""


class ExperimentOut(Schema):
    id: int
    name: Annotated[str, Field(examples=["First light"])]
    project_id: int
    tags: Annotated[list[str], Field(examples=[["night"]])]
    created_at: datetime
    archived_at: datetime | None

    @staticmethod
    def resolve_tags(experiment: Experiment) -> list[str]:
        return tags_of(experiment)


class ExperimentFull(ExperimentOut):
    notes: Annotated[str, Field(description="Markdown.")]
    notes_version: Annotated[int, Field(description="Give it back with your notes, so that nobody's are overwritten.")]
    notes_at: datetime | None


class Experiments(Page):
    items: list[ExperimentOut]


class ExperimentIn(Schema):
    project: Annotated[Id, Field(examples=[3])]
    name: Name
    tags: Tags = []


@router.get("/projects", response=Projects, url_name="project-list")
def project_list(request: HttpRequest, wanted: Query[ProjectQuery]) -> Any:
    """Your projects, newest first."""
    caller = caller_of(request)
    rows = projects_visible(caller.user, caller.organization_id)
    return page_answer(rows.filter(name__icontains=wanted.name) if wanted.name else rows, wanted)


@router.post("/projects", response={201: ProjectOut}, url_name="project-create")
def project_make(request: HttpRequest, body: ProjectIn) -> Any:
    """Make a project."""
    caller = caller_of(request)
    organization = organization_for(caller, body.organization)
    require(caller.user, Action.MANAGE_PROJECTS, organization)
    return Status(201, services.project_create(organization, body.name, body.description, by=caller.user))


@router.get("/projects/{int:project_id}", response=ProjectOut, url_name="project")
def project_get(request: HttpRequest, response: HttpResponse, project_id: int) -> Any:
    """One project; its `ETag` is good for `If-Match`."""
    project = _project(caller_of(request), project_id)
    version_told(response, _project_version(project))
    return project


@router.patch("/projects/{int:project_id}", response=ProjectOut, url_name="project-change", openapi_extra=Match)
def project_change(request: HttpRequest, response: HttpResponse, project_id: int, body: ProjectChange) -> Any:
    """Another name or description, or into and out of the archive; what the body leaves out stays."""
    caller = caller_of(request)
    require(caller.user, Action.MANAGE_PROJECTS, _project(caller, project_id))
    with transaction.atomic():
        project = Project.objects.select_for_update().get(pk=project_id)
        version_require(request, _project_version(project))
        if body.name is not None or body.description is not None:
            name = project.name if body.name is None else body.name
            description = project.description if body.description is None else body.description
            services.project_edit(project, name, description, by=caller.user)
        if body.archived is not None:
            services.project_archive(project, body.archived, by=caller.user)
    project = _project(caller, project_id)
    version_told(response, _project_version(project))
    return project


@router.get("/experiments", response=Experiments, url_name="experiment-list")
def experiment_list(request: HttpRequest, wanted: Query[ExperimentQuery]) -> Any:
    """Your experiments, newest first."""
    caller = caller_of(request)
    rows = experiments_visible(caller.user, caller.organization_id).prefetch_related("tags")
    exact = {"project": wanted.project, "name__icontains": wanted.name}
    return page_answer(rows.filter(**{field: value for field, value in exact.items() if value}), wanted)


@router.post("/experiments", response={201: ExperimentFull}, url_name="experiment-create")
def experiment_make(request: HttpRequest, body: ExperimentIn) -> Any:
    """Make an experiment in a project."""
    caller = caller_of(request)
    project = _project(caller, body.project)
    require(caller.user, Action.CREATE_EXPERIMENT, project)
    return Status(201, services.experiment_create(project, body.name, body.tags, by=caller.user))


@router.get("/experiments/{int:experiment_id}", response=ExperimentFull, url_name="experiment")
def experiment_get(request: HttpRequest, response: HttpResponse, experiment_id: int) -> Any:
    """One experiment with its notes and tags; its `ETag` is good for `If-Match`."""
    experiment = experiment_of(caller_of(request), experiment_id)
    version_told(response, _experiment_version(experiment))
    return experiment


@router.patch(
    "/experiments/{int:experiment_id}", response=ExperimentFull, url_name="experiment-change", openapi_extra=Match
)
def experiment_change(request: HttpRequest, response: HttpResponse, experiment_id: int, body: ExperimentChange) -> Any:
    """Another name or other tags, or into and out of the archive; what the body leaves out stays."""
    caller = caller_of(request)
    there = experiment_of(caller, experiment_id)
    if body.archived is None or body.name is not None or body.tags is not None:
        require(caller.user, Action.EDIT_EXPERIMENT, there)
    if body.archived is not None:
        require(caller.user, Action.ARCHIVE_EXPERIMENT, there)
    with transaction.atomic():
        experiment = Experiment.objects.select_for_update().get(pk=experiment_id)
        version_require(request, _experiment_version(experiment))
        if body.name is not None or body.tags is not None:
            name = experiment.name if body.name is None else body.name
            tags = tags_of(experiment) if body.tags is None else body.tags
            services.experiment_edit(experiment, name, tags, by=caller.user)
        if body.archived is not None:
            services.experiment_archive(experiment, body.archived, by=caller.user)
    experiment = experiment_of(caller, experiment_id)
    version_told(response, _experiment_version(experiment))
    return experiment


def experiment_of(caller: Caller, pk: int) -> Experiment:
    """One that the caller may see, with its tags; 404 if there is none."""
    rows = experiments_visible(caller.user, caller.organization_id).prefetch_related("tags")
    experiment: Experiment = one_of(rows, pk)
    return experiment


def tags_of(experiment: Experiment) -> list[str]:
    return sorted(tag.name for tag in experiment.tags.all())


def _project(caller: Caller, pk: int) -> Project:
    project: Project = one_of(projects_visible(caller.user, caller.organization_id), pk)
    return project


def _project_version(project: Project) -> str:
    return version_of(project.pk, project.name, project.description, project.archived_at is None)


def _experiment_version(experiment: Experiment) -> str:
    """Of all that a PATCH changes; the notes have a version of their own."""
    return version_of(experiment.pk, experiment.name, tags_of(experiment), experiment.archived_at is None)


def organization_for(caller: Caller, wanted: int | None) -> Organization:
    """The one that was named, or the only one that there is for this caller."""
    rows = Organization.objects.filter(memberships__user=caller.user)
    if caller.organization_id is not None:
        rows = rows.filter(pk=caller.organization_id)
    if wanted is not None:
        named: Organization = one_of(rows, wanted)
        return named
    found = list(rows[:2])
    if len(found) != 1:
        raise ValidationError({"organization": "Say which of your organizations it is to belong to."})
    return found[0]
