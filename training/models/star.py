"""Stars: what one person wants to find again."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from training.models.job import TrainingJob
from training.models.project import Experiment


class Star(models.Model):
    """One person's star on an experiment or on a job; nobody else sees it."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="stars")
    experiment = models.ForeignKey(Experiment, models.CASCADE, null=True, related_name="stars")
    job = models.ForeignKey(TrainingJob, models.CASCADE, null=True, related_name="stars")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "experiment"], name="star_experiment_unique"),
            models.UniqueConstraint(fields=["user", "job"], name="star_job_unique"),
            models.CheckConstraint(
                condition=Q(experiment__isnull=False, job__isnull=True) | Q(experiment__isnull=True, job__isnull=False),
                name="star_on_one_thing",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} starred {self.experiment or self.job}"
