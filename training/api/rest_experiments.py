"""REST: experiments: found, made, and changed by one person at a time. Their notes and stars: `rest_notes`."""

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from training.api.rest_editing import Kind, Match, Name, kind_change, kind_find, kind_get
from training.api.rest_pages import Archived, Id, Page, PageQuery, Text, caller_of, page_answer, with_archived
from training.api.rest_projects import PROJECT
from training.models import Experiment
from training.models.visibility import OrganizationQuerySet
from training.people.keys import Caller
from training.people.roles import Action, require
from training.projects import services
from training.projects.selectors import experiments_visible

router = Router(tags=["projects"])
Tags = Annotated[
    list[Annotated[str, Field(max_length=services.TAG_LENGTH)]], Field(max_length=services.TAGS, examples=[["night"]])
]


class ExperimentChange(Schema):
    name: Name | None = None
    tags: Tags | None = None
    archived: bool | None = None


class ExperimentQuery(PageQuery):
    project: Id | None = None
    name: Annotated[Text, Field(description="Part of the name.")] = ""
    archived: Archived = "false"


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


def tags_of(experiment: Experiment) -> list[str]:
    return sorted(tag.name for tag in experiment.tags.all())


def experiments_tagged(user: Any, organization_id: int | None) -> OrganizationQuerySet:
    """The experiments that a person may see, with their tags."""
    return experiments_visible(user, organization_id).prefetch_related("tags")


EXPERIMENT = Kind(
    visible=experiments_tagged,
    facts=lambda experiment: {"name": experiment.name, "tags": tags_of(experiment)},
    edit=services.experiment_edit,
    archive=services.experiment_archive,
    may_edit=Action.EDIT_EXPERIMENT,
    may_archive=Action.ARCHIVE_EXPERIMENT,
)


@router.get("/experiments", response=Experiments, url_name="experiment-list")
def experiment_list(request: HttpRequest, wanted: Query[ExperimentQuery]) -> Any:
    """Your experiments, newest first, without the archived ones."""
    caller = caller_of(request)
    rows = with_archived(experiments_tagged(caller.user, caller.organization_id), wanted.archived)
    exact = {"project": wanted.project, "name__icontains": wanted.name}
    return page_answer(rows.filter(**{field: value for field, value in exact.items() if value}), wanted)


@router.post("/experiments", response={201: ExperimentFull}, url_name="experiment-create")
def experiment_make(request: HttpRequest, body: ExperimentIn) -> Any:
    """Make an experiment in a project."""
    caller = caller_of(request)
    project = kind_find(PROJECT, caller, body.project)
    require(caller.user, Action.CREATE_EXPERIMENT, project)
    return Status(201, services.experiment_create(project, body.name, body.tags, by=caller.user))


@router.get("/experiments/{int:experiment_id}", response=ExperimentFull, url_name="experiment")
def experiment_get(request: HttpRequest, response: HttpResponse, experiment_id: int) -> Any:
    """One experiment with its notes and tags; its `ETag` is good for `If-Match`."""
    return kind_get(EXPERIMENT, request, response, experiment_id)


@router.patch(
    "/experiments/{int:experiment_id}", response=ExperimentFull, url_name="experiment-change", openapi_extra=Match
)
def experiment_change(request: HttpRequest, response: HttpResponse, experiment_id: int, body: ExperimentChange) -> Any:
    """Another name or other tags, or into and out of the archive, which managers do; what the body leaves out stays."""
    return kind_change(EXPERIMENT, request, response, experiment_id, body)


def experiment_of(caller: Caller, pk: int) -> Experiment:
    """One that the caller may see, with its tags; 404 if there is none."""
    experiment: Experiment = kind_find(EXPERIMENT, caller, pk)
    return experiment
