"""API keys: how a person's programs sign in."""

from django.conf import settings
from django.db import models

from training.models.people import Organization


class ApiKey(models.Model):
    """A key of one person for one organization. The secret itself is shown once and never stored."""

    organization_path = "organization"
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_keys")
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=80, help_text="What it is for, in its owner's words.")
    prefix = models.CharField(max_length=16, unique=True, help_text="The part that may be shown, and finds the row.")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the secret's 256 random bits.")
    scopes = models.JSONField(default=list, help_text="What it is good for: read, write.")
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, help_text="To the minute.")
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
