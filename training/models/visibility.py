"""One rule for who may see what: rows of the organizations that a person belongs to."""

from typing import Any, Self

from django.contrib.auth.models import AnonymousUser
from django.db import models

from training.models.people import User


class OrganizationQuerySet(models.QuerySet[Any]):
    """A queryset whose model names the way to its organization in `organization_path`.

    Where the model also names a `deletion_path`, rows of deleted jobs are seen by nobody.
    """

    def visible_to(self, user: User | AnonymousUser, organization_id: int | None = None) -> Self:
        """The rows that `user` may see; none for someone who is not signed in.

        Of one organization only, where the right comes from an API key of it.
        """
        deletion_path = getattr(self.model, "deletion_path", "")
        rows = self.kept_for(user, organization_id)
        return rows.filter(**{f"{deletion_path}__isnull": True}) if deletion_path else rows

    def kept_for(self, user: User | AnonymousUser, organization_id: int | None = None) -> Self:
        """What `visible_to` gives, and with it what has been deleted and can still be brought back."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        path = self.model.organization_path
        memberships = user.memberships.values("organization")
        if organization_id is not None:
            memberships = memberships.filter(organization=organization_id)
        return self.filter(**{f"{path}__in": memberships})
