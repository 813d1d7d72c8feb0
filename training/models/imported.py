"""Where an imported job comes from: a run that another tool recorded."""

from django.db import models

from training.models.job import TrainingJob
from training.models.people import Organization
from training.models.visibility import OrganizationQuerySet


class ImportedRun(models.Model):
    """One run of a source (mlflow, tensorboard …), and the one job that an organization made of it."""

    organization_path = "organization"
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="imported_runs")
    source = models.CharField(max_length=32)
    run = models.CharField(max_length=500, help_text="What the source calls it; of very long names the digest.")
    address = models.TextField(blank=True, help_text="Where it was found, for people.")
    job = models.OneToOneField(TrainingJob, models.CASCADE, related_name="imported")
    created_at = models.DateTimeField(auto_now_add=True)
    objects = OrganizationQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "source", "run"], name="imported_run_unique")]

    def __str__(self) -> str:
        return f"{self.source} {self.run}"

    @property
    def linked(self) -> bool:
        """Whether the address is one that a browser opens."""
        return self.address.startswith(("http://", "https://"))
