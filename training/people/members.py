"""Organizations and their members: made, joined, changed, left. One never loses its last admin."""

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.utils.text import slugify
from django.utils.translation import gettext

from training.models import Membership, Organization, ProjectMembership, Role, User
from training.people.audit import audit, audit_changes

NAME_LENGTH = 120


class LastAdmin(Exception):
    """An organization without an admin could be managed by nobody; the message is for the person who tried."""

    def __init__(self) -> None:
        super().__init__(gettext("This is the last admin. Make somebody else an admin first."))


def organization_make(name: str, by: User | None = None) -> Organization:
    """A new organization, without members yet. Raises ValidationError for a name that can't be kept."""
    name = _name_checked(name)
    with transaction.atomic():
        made = Organization.objects.create(name=name, slug=_slug(name))
        audit("organization.create", made, by=by, new={"name": name, "slug": made.slug})
    return made


def organization_rename(organization: Organization, name: str, by: User | None = None) -> None:
    """Another name; the slug, which programs use, stays."""
    name = _name_checked(name)
    with transaction.atomic():
        locked = Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
        old, locked.name = locked.name, name
        locked.save(update_fields=["name"])
        audit_changes("organization.rename", locked, {"name": old}, {"name": name}, by=by)


def member_add(organization: Organization, user: User, role: Role, by: User | None = None) -> bool:
    """Make somebody a member; False, and nothing changed, if they are one. The caller has checked the right to."""
    with transaction.atomic():
        _, made = Membership.objects.get_or_create(organization=organization, user=user, defaults={"role": role})
        if made:
            audit("member.add", user, by=by, organization=organization, new={"role": role})
    return made


def member_role(organization: Organization, user: User, role: Role, by: User | None = None) -> None:
    """Another role for a member. Raises LastAdmin; the caller has checked the right to change roles."""
    with transaction.atomic():
        member = _locked(organization, user)
        old = member.role
        if old == Role.ADMIN and role != Role.ADMIN:
            _another_admin(organization, user)
        member.role = role
        member.save(update_fields=["role"])
        audit_changes("member.role", user, {"role": old}, {"role": role}, by=by, organization=organization)


def member_remove(organization: Organization, user: User, by: User, role_most: Role) -> None:
    """End a membership, with those in its projects; what the person made stays. Oneself may always leave.

    Raises LastAdmin, and PermissionDenied for somebody whose role is above `role_most`, the highest that `by` may give.
    """
    with transaction.atomic():
        member = _locked(organization, user)
        if user.pk != by.pk and not role_most.at_least(Role(member.role)):
            raise PermissionDenied(
                gettext("Your role does not allow you to remove somebody who is %(role)s.") % {"role": member.role}
            )
        if member.role == Role.ADMIN:
            _another_admin(organization, user)
        ProjectMembership.objects.filter(user=user, project__organization=organization).delete()
        member.delete()
        action = "member.leave" if user.pk == by.pk else "member.remove"
        audit(action, user, by=by, organization=organization, old={"role": member.role})


def _locked(organization: Organization, user: User) -> Membership:
    """The membership, with the organization's row held: two admins can't both leave at the same time."""
    Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
    return Membership.objects.get(organization=organization, user=user)


def _another_admin(organization: Organization, user: User) -> None:
    others = Membership.objects.filter(organization=organization, role=Role.ADMIN, user__is_active=True)
    if not others.exclude(user=user).exists():
        raise LastAdmin


def _name_checked(name: str) -> str:
    name = " ".join(name.split())
    if not 0 < len(name) <= NAME_LENGTH or "\x00" in name:
        raise ValidationError(
            {
                "organization": gettext("The name of an organization needs 1 to %(most)s characters.")
                % {"most": NAME_LENGTH}
            }
        )
    return name


def _slug(name: str) -> str:
    """A slug that no other has; of a name without Latin letters, `organization`."""
    stem = slugify(name)[:50] or "organization"
    taken = set(Organization.objects.filter(slug__startswith=stem).values_list("slug", flat=True))
    numbered = (f"{stem}-{number}" for number in range(2, len(taken) + 3))
    return next(slug for slug in (stem, *numbered) if slug not in taken)
