"""Invitations: a link by e-mail that makes somebody a member, once and for some days."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from training.models.people import Organization, Role
from training.models.visibility import OrganizationQuerySet


class Invitation(models.Model):
    """Who was asked to join as what. The link's secret is mailed and never stored."""

    organization_path = "organization"
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="invitations")
    email = models.EmailField()
    role = models.CharField(max_length=24, choices=Role.choices, default=Role.STANDARD_ENGINEER)
    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the link's 256 random bits.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", help_text="Empty: the operator."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True, help_text="When the mail was last handed over; empty if it failed.")
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    accepted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    revoked_at = models.DateTimeField(null=True)
    objects = OrganizationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "organization",
                Lower("email"),
                condition=Q(accepted_at=None, revoked_at=None),
                name="invitation_pending_unique",
            )
        ]

    def __str__(self) -> str:
        return f"{self.email} to {self.organization}"

    def good(self, now: datetime) -> bool:
        """Whether its link still opens anything."""
        return self.accepted_at is None and self.revoked_at is None and now < self.expires_at
