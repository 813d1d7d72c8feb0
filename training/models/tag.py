"""Tags: words that people put on jobs to find them again."""

from django.db import models

from training.models.job import TrainingJob
from training.models.people import Organization
from training.models.visibility import OrganizationQuerySet


class JobTag(models.Model):
    """One word on one job; the job's organization is repeated, so that its words are listed by one index."""

    organization_path = "organization"
    deletion_path = "job__deleted_at"
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+", db_index=False)
    job = models.ForeignKey(TrainingJob, models.CASCADE, related_name="tags", db_index=False)
    name = models.CharField(max_length=50)
    created_at = models.DateTimeField(auto_now_add=True)
    objects = OrganizationQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["job", "name"], name="job_tag_unique")]
        indexes = [models.Index(fields=["organization", "name", "job"], name="job_tag_name")]

    def __str__(self) -> str:
        return self.name
