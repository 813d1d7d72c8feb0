"""Presets: settings that an organization keeps under a name."""

from django.conf import settings
from django.db import models

from training.models.people import Organization
from training.models.visibility import OrganizationQuerySet


class JobPreset(models.Model):
    """Settings for one trainer and task; those left out keep the trainer's defaults."""

    organization_path = "organization"
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="presets")
    trainer = models.CharField(max_length=64, help_text="The folder under trainers/.")
    task_type = models.CharField(max_length=32)
    name = models.CharField(max_length=80)
    config = models.JSONField(default=dict, help_text="The settings that differ from the trainer's defaults.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    objects = OrganizationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "trainer", "task_type", "name"], name="preset_name_unique"),
        ]

    def __str__(self) -> str:
        return self.name
