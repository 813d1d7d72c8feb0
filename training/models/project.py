"""Projects, and the experiments that group their jobs."""

from django.conf import settings
from django.db import models

from training.models.people import Organization
from training.models.visibility import OrganizationQuerySet


class Project(models.Model):
    organization_path = "organization"
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="projects")
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True, default="", db_default="", help_text="What it is about, in plain text.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    archived_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when lists leave it out and it takes no new jobs."
    )
    keep_epochs = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        help_text="As in the organization, for this project alone; none means the organization's.",
    )
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, through="ProjectMembership", related_name="projects")
    objects = OrganizationQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "name"], name="project_name_unique")]

    def __str__(self) -> str:
        return self.name


class ProjectMembership(models.Model):
    """Somebody belongs to a project. One without any members belongs to everybody in its organization."""

    organization_path = "project__organization"
    project = models.ForeignKey(Project, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="project_memberships")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "user"], name="project_membership_unique")]

    def __str__(self) -> str:
        return f"{self.user} in {self.project}"


class Experiment(models.Model):
    organization_path = "project__organization"
    project = models.ForeignKey(Project, models.CASCADE, related_name="experiments")
    name = models.CharField(max_length=120)
    notes = models.TextField(blank=True, default="", db_default="", help_text="Markdown.")
    notes_version = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Grows with every change, so that nobody overwrites what they have not read."
    )
    notes_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    notes_at = models.DateTimeField(null=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    archived_at = models.DateTimeField(null=True, help_text="Since when lists leave it out and it takes no new jobs.")
    objects = OrganizationQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="experiment_name_unique")]

    def __str__(self) -> str:
        return self.name


class ExperimentTag(models.Model):
    """A word by which experiments are found."""

    organization_path = "experiment__project__organization"
    experiment = models.ForeignKey(Experiment, models.CASCADE, related_name="tags")
    name = models.CharField(max_length=40)
    objects = OrganizationQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["experiment", "name"], name="experiment_tag_unique")]

    def __str__(self) -> str:
        return self.name
