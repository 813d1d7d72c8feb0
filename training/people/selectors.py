"""Reads of organizations, members and their keys for people: only what their own organizations tell."""

from django.contrib.auth.models import AnonymousUser
from django.db.models import Count, QuerySet

from training.models import ApiKey, Membership, Organization, User


def organizations_visible(user: User | AnonymousUser, organization_id: int | None = None) -> QuerySet[Organization]:
    """The organizations that a person belongs to, by name; the one of an API key, if it is told."""
    if not user.is_authenticated or not user.is_active:
        return Organization.objects.none()
    ours = Organization.objects.filter(pk__in=user.memberships.values("organization"))
    if organization_id is not None:
        ours = ours.filter(pk=organization_id)
    return ours.order_by("name", "id")


def organization_list(user: User) -> QuerySet[Membership]:
    """A person's memberships with the size of each organization, by its name."""
    sized = Membership.objects.filter(user=user).select_related("organization")
    sized = sized.annotate(member_count=Count("organization__memberships"))
    return sized.order_by("organization__name", "id")


def members_of(organization: Organization) -> QuerySet[Membership]:
    """The members, by user name."""
    return organization.memberships.select_related("user").order_by("user__username", "id")


def organization_keys(organization: Organization) -> QuerySet[ApiKey]:
    """Everybody's API keys for it that are not revoked, newest first."""
    keys = organization.api_keys.filter(revoked_at=None).select_related("user", "organization")
    return keys.order_by("-id")
