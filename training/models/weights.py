"""Pretrained weights: files that a person gave the platform once, from which jobs may begin."""

from django.conf import settings
from django.db import models

from training.models.people import Organization
from training.models.visibility import OrganizationQuerySet


class PretrainedWeights(models.Model):
    """A file in the internal store. The platform keeps it and hands it on, and never reads what is in it."""

    organization_path = "organization"
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="weights")
    name = models.CharField(max_length=120)
    framework = models.CharField(max_length=64, help_text="As in the trainer's manifest, such as ultralytics.")
    task_type = models.CharField(max_length=32)
    key = models.CharField(max_length=255, unique=True, help_text="Where it lies in the internal store.")
    size = models.PositiveBigIntegerField(help_text="In bytes.")
    sha256 = models.CharField(max_length=64)
    stored_at = models.DateTimeField(null=True, help_text="When the whole file was there and its checksum was right.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    objects = OrganizationQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "pretrained weights"
        constraints = [models.UniqueConstraint(fields=["organization", "name"], name="weights_name_unique")]

    def __str__(self) -> str:
        return self.name
