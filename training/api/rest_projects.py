"""REST: projects: found, made, and changed by one person at a time."""

from datetime import datetime
from typing import Annotated, Any

from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from training.api.rest_editing import Kind, Match, Name, kind_change, kind_get
from training.api.rest_pages import Archived, Id, Page, PageQuery, Text, caller_of, one_of, page_answer, with_archived
from training.models import Organization
from training.people.keys import Caller
from training.people.roles import Action, require
from training.projects import services
from training.projects.selectors import projects_visible

router = Router(tags=["projects"])
Description = Annotated[str, Field(max_length=services.DESCRIPTION_LENGTH, pattern=r"^[^\x00]*$")]
PROJECT = Kind(
    visible=projects_visible,
    facts=lambda project: {"name": project.name, "description": project.description},
    edit=services.project_edit,
    archive=services.project_archive,
    may_edit=Action.MANAGE_PROJECTS,
    may_archive=Action.MANAGE_PROJECTS,
)


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
    archived: Archived = "false"


class ProjectIn(Schema):
    name: Name
    organization: Annotated[Id | None, Field(description="Needed if you are in several.", examples=[None])] = None
    description: Description = ""


class ProjectChange(Schema):
    name: Name | None = None
    description: Description | None = None
    archived: bool | None = None


@router.get("/projects", response=Projects, url_name="project-list")
def project_list(request: HttpRequest, wanted: Query[ProjectQuery]) -> Any:
    """Your projects, newest first, without the archived ones."""
    caller = caller_of(request)
    rows = with_archived(projects_visible(caller.user, caller.organization_id), wanted.archived)
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
    return kind_get(PROJECT, request, response, project_id)


@router.patch("/projects/{int:project_id}", response=ProjectOut, url_name="project-change", openapi_extra=Match)
def project_change(request: HttpRequest, response: HttpResponse, project_id: int, body: ProjectChange) -> Any:
    """Another name or description, or into and out of the archive; what the body leaves out stays."""
    return kind_change(PROJECT, request, response, project_id, body)


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
