"""Who belongs to a project: advanced engineers act on the jobs of those that they belong to."""

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext

from training.models import Membership, Project, ProjectMembership, User
from training.people.audit import audit


def project_members(project: Project) -> QuerySet[ProjectMembership]:
    """Its members, by user name. None at all: it belongs to everybody in the organization."""
    return project.memberships.select_related("user").order_by("user__username", "id")


def project_candidates(project: Project) -> QuerySet[User]:
    """Members of the organization who are not members of the project yet."""
    ours = Membership.objects.filter(organization=project.organization_id).values("user")
    return User.objects.filter(pk__in=ours).exclude(project_memberships__project=project).order_by("username")


def project_member_add(project: Project, user: User, by: User | None = None) -> bool:
    """Make somebody of the organization a member; False if they are one. Raises ValidationError for anybody else."""
    with transaction.atomic():
        if not Membership.objects.filter(organization=project.organization_id, user=user).exists():
            raise ValidationError({"user": gettext("There is no such member of the organization.")})
        _, made = ProjectMembership.objects.get_or_create(project=project, user=user)
        if made:
            audit("project.member_add", project, by=by, new={"member": user.get_username()})
    return made


def project_member_remove(project: Project, user: User, by: User | None = None) -> bool:
    """End it; False if they were none."""
    with transaction.atomic():
        removed, _ = ProjectMembership.objects.filter(project=project, user=user).delete()
        if removed:
            audit("project.member_remove", project, by=by, old={"member": user.get_username()})
    return bool(removed)
