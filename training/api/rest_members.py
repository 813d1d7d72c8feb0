"""REST: who belongs to a project."""

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Router, Schema, Status
from pydantic import Field

from training.api.rest_pages import Id, caller_of, one_of
from training.models import Project, User
from training.people.roles import Action, require
from training.projects import members
from training.projects.selectors import projects_visible

router = Router(tags=["projects"])


class ProjectMemberIn(Schema):
    user: Annotated[Id, Field(examples=[5])]


class ProjectMemberOut(Schema):
    user_id: int
    name: Annotated[str, Field(examples=["mina"])]


class ProjectMembers(Schema):
    items: list[ProjectMemberOut]
    everybody: Annotated[bool, Field(description="No members of its own: it belongs to all of the organization.")]


@router.get("/projects/{int:project_id}/members", response=ProjectMembers, url_name="project-members")
def project_member_list(request: HttpRequest, project_id: int) -> Any:
    """Who belongs to it."""
    return _members(_project(request, project_id, Action.SEE))


@router.post("/projects/{int:project_id}/members", response={201: ProjectMembers}, url_name="project-members")
def project_member_add(request: HttpRequest, project_id: int, body: ProjectMemberIn) -> Any:
    """Make a member of the organization a member of the project."""
    project = _project(request, project_id, Action.MANAGE_PROJECTS)
    user = one_of(User.objects.filter(memberships__organization=project.organization_id), body.user)
    members.project_member_add(project, user, by=caller_of(request).user)
    return Status(201, _members(project))


@router.delete("/projects/{int:project_id}/members/{int:user_id}", response={204: None}, url_name="project-member")
def project_member_remove(request: HttpRequest, project_id: int, user_id: int) -> Any:
    """End it."""
    project = _project(request, project_id, Action.MANAGE_PROJECTS)
    user = one_of(User.objects.filter(project_memberships__project=project), user_id)
    members.project_member_remove(project, user, by=caller_of(request).user)
    return Status(204, None)


def _members(project: Project) -> dict[str, Any]:
    found = [{"user_id": one.user_id, "name": one.user.get_username()} for one in members.project_members(project)]
    return {"items": found, "everybody": not found}


def _project(request: HttpRequest, project_id: int, action: Action) -> Project:
    caller = caller_of(request)
    found: Project = one_of(projects_visible(caller.user, caller.organization_id), project_id)
    require(caller.user, action, found)
    return found
