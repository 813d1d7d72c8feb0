"""Reads of imports for people: only what their organizations own."""

from django.contrib.auth.models import AnonymousUser

from training.models import ON_ITS_WAY, DatasetImport, User
from training.models.visibility import OrganizationQuerySet


def imports_visible(user: User | AnonymousUser, organization_id: int | None = None) -> OrganizationQuerySet:
    """The imports that a person may see, newest first; of one organization only, if it is told."""
    imports: OrganizationQuerySet = DatasetImport.objects.visible_to(user, organization_id)
    return imports.select_related("organization", "created_by", "dataset").order_by("-id")


def imports_on_their_way(user: User | AnonymousUser, limit: int) -> list[DatasetImport]:
    """The imports that wait or run now, newest first."""
    return list(imports_visible(user).filter(state__in=ON_ITS_WAY)[:limit])
