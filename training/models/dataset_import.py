"""Imports: datasets on their way in, and stored files on their way out."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from training.models.dataset import Dataset
from training.models.people import Organization
from training.models.upload import DatasetUpload
from training.models.visibility import OrganizationQuerySet


class ImportState(models.TextChoices):
    QUEUED = "queued", _("Waiting")
    RUNNING = "running", _("Importing")
    COMPLETED = "completed", _("Imported")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


ON_ITS_WAY = (ImportState.QUEUED, ImportState.RUNNING)
BYTE_STAGES = ("Joining", "Unpacking", "Fetching")


class DatasetImport(models.Model):
    """One import, from the wish to the dataset or the error. `attempt` fences: an older worker's word is not taken.

    `source_kind` says what `source` is: the path of a folder on the server, the
    name of an uploaded archive, or the address of a place in an object store.
    """

    organization_path = "organization"
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="imports")
    name = models.CharField(max_length=120, help_text="What the dataset is to be called.")
    source_kind = models.CharField(max_length=32, default="folder")
    source = models.TextField(help_text="Where the data come from, as it was asked for.")
    upload = models.ForeignKey(DatasetUpload, models.SET_NULL, null=True, related_name="imports")
    wanted_format = models.CharField(
        max_length=32, blank=True, default="", db_default="", help_text="As a person said."
    )
    wanted_task = models.CharField(max_length=32, blank=True, default="", db_default="", help_text="As a person said.")
    state = models.CharField(max_length=16, choices=ImportState.choices, default=ImportState.QUEUED)
    stage = models.CharField(max_length=40, blank=True, help_text="What is being done now.")
    done = models.PositiveBigIntegerField(default=0)
    total = models.PositiveBigIntegerField(default=0)
    report = models.JSONField(default=dict, help_text="What was found, and what is wrong.")
    error = models.TextField(blank=True, help_text="Why nothing was imported, for people.")
    dataset = models.ForeignKey(Dataset, models.SET_NULL, null=True, related_name="imports")
    attempt = models.PositiveIntegerField(default=0)
    prefix = models.CharField(max_length=255, blank=True, help_text="Where this attempt's files go in the store.")
    lease_until = models.DateTimeField(null=True, help_text="Renewed by the worker; over means that it is gone.")
    cancel_requested_at = models.DateTimeField(null=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    objects = OrganizationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "name"], condition=Q(state__in=["queued", "running"]), name="import_name_unique"
            ),
        ]
        indexes = [models.Index(fields=["state", "id"], name="import_state")]

    def __str__(self) -> str:
        return f"import of {self.name}"

    @property
    def active(self) -> bool:
        return self.state in ON_ITS_WAY

    @property
    def in_bytes(self) -> bool:
        """Whether `done` and `total` of the present stage are bytes rather than files."""
        return self.stage in BYTE_STAGES

    @property
    def percent(self) -> int | None:
        """How much of the present stage is done; None where that is not known yet."""
        return min(100, 100 * self.done // self.total) if self.total else None


class StoredRemoval(models.Model):
    """Files that belong to nothing any more: written with the deletion, worked off by a maintenance worker."""

    store = models.CharField(max_length=16, help_text="internal or external.")
    key = models.CharField(max_length=255)
    below = models.BooleanField(help_text="Whether all below the key is meant, or the one object.")
    tries = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.store} {self.key}"
