"""How a person looks at a project's charts: axis, smoothing, order, what is hidden and folded."""

from django.db import models

from training.models.people import User
from training.models.project import Project
from training.models.visibility import OrganizationQuerySet


class ChartLayout(models.Model):
    organization_path = "project__organization"
    user = models.ForeignKey(User, models.CASCADE, related_name="chart_layouts")
    project = models.ForeignKey(Project, models.CASCADE, related_name="+")
    layout = models.JSONField(default=dict, help_text="As `chart_layout_clean` lets it through.")
    changed_at = models.DateTimeField(auto_now=True)
    objects = OrganizationQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "project"], name="chart_layout_unique")]

    def __str__(self) -> str:
        return f"{self.user}'s charts of {self.project}"
