"""Inference jobs: a picture that a person tries a trained model on, and what the model saw in it."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from training.models.checkpoint import Checkpoint
from training.models.job import TrainingJob
from training.models.visibility import OrganizationQuerySet


class InferenceState(models.TextChoices):
    WAITING = "waiting", _("Waiting")
    WORKING = "working", _("Working")
    COMPLETED = "completed", _("Completed")
    FAILED = "failed", _("Failed")


class InferenceJob(models.Model):
    """One picture for one checkpoint. The picture goes after a while, the result stays."""

    organization_path = "job__experiment__project__organization"
    deletion_path = "job__deleted_at"
    job = models.ForeignKey(TrainingJob, models.CASCADE, related_name="inferences")
    checkpoint = models.ForeignKey(Checkpoint, models.SET_NULL, null=True, related_name="inferences")
    state = models.CharField(max_length=16, choices=InferenceState.choices, default=InferenceState.WAITING)
    picture_name = models.CharField(max_length=120, help_text="What its owner called it.")
    picture_key = models.CharField(max_length=255, blank=True, help_text="Empty once it has been swept away.")
    content_type = models.CharField(max_length=32)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    result = models.JSONField(default=dict, help_text="What the model saw; places are shares of the picture.")
    error = models.TextField(blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True, help_text="Past it, the worker that took it is taken for gone.")
    objects = OrganizationQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["state", "created_at"], name="inference_state_created")]

    def __str__(self) -> str:
        return f"{self.picture_name} through {self.job}"
