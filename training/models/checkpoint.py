"""Checkpoints: trained weights in the internal store, with the checksum that proves them."""

from django.db import models

from training.models.job import JobAttempt, TrainingJob
from training.models.visibility import OrganizationQuerySet


class Checkpoint(models.Model):
    organization_path = "job__experiment__project__organization"
    deletion_path = "job__deleted_at"
    job = models.ForeignKey(TrainingJob, models.CASCADE, related_name="checkpoints")
    attempt = models.ForeignKey(JobAttempt, models.CASCADE, related_name="checkpoints")
    kind = models.CharField(max_length=16, help_text="best, last or epoch.")
    epoch = models.PositiveIntegerField(null=True)
    step = models.BigIntegerField(null=True)
    key = models.CharField(max_length=255, unique=True)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    metrics = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    objects = OrganizationQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]

    def __str__(self) -> str:
        return f"{self.kind} of {self.job}"
