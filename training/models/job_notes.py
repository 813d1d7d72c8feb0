"""What people write about a job."""

from django.conf import settings
from django.db import models

from training.models.job import TrainingJob
from training.models.visibility import OrganizationQuerySet


class JobNotes(models.Model):
    """The notes on one job. A row of their own, so that whoever reads jobs by the thousand doesn't read them too."""

    organization_path = "job__experiment__project__organization"
    deletion_path = "job__deleted_at"
    job = models.OneToOneField(TrainingJob, models.CASCADE, related_name="notes_row", primary_key=True)
    notes = models.TextField(blank=True, help_text="Markdown.")
    notes_version = models.PositiveIntegerField(
        default=0, help_text="Grows with every change, so that nobody overwrites what they have not read."
    )
    notes_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    notes_at = models.DateTimeField(null=True)
    objects = OrganizationQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "job notes"

    def __str__(self) -> str:
        return f"notes on {self.job}"
