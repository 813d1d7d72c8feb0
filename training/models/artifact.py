"""Artifacts: pictures and tables that a run leaves behind for people to look at."""

from django.db import models

from training.models.job import JobAttempt, TrainingJob
from training.models.visibility import OrganizationQuerySet


class Artifact(models.Model):
    organization_path = "job__experiment__project__organization"
    deletion_path = "job__deleted_at"
    job = models.ForeignKey(TrainingJob, models.CASCADE, related_name="artifacts")
    attempt = models.ForeignKey(JobAttempt, models.CASCADE, related_name="artifacts")
    kind = models.CharField(max_length=32, help_text="The trainer's word, such as prediction or confusion_matrix.")
    name = models.CharField(max_length=120)
    key = models.CharField(max_length=255, unique=True)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    content_type = models.CharField(max_length=32, help_text="What the bytes were found to be.")
    epoch = models.PositiveIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    objects = OrganizationQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["attempt", "name"], name="artifact_name_unique")]

    def __str__(self) -> str:
        return f"{self.name} of {self.job}"
