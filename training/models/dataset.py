"""Datasets, and the snapshots that say exactly what a job was trained on."""

from django.conf import settings
from django.db import models
from django.db.models import Value

from training.models.people import Organization
from training.models.visibility import OrganizationQuerySet


class Dataset(models.Model):
    """Images and annotations in the external store, as they were imported."""

    organization_path = "organization"
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="datasets")
    name = models.CharField(max_length=120)
    format = models.CharField(max_length=32, help_text="The format recognised at import, such as yolo.")
    task_type = models.CharField(max_length=32, help_text="What it can train: detection, segmentation, …")
    prefix = models.CharField(max_length=255, help_text="Where its files lie in the external store.")
    classes = models.JSONField(default=list, help_text="Class names in the order of their numbers.")
    report = models.JSONField(default=dict, help_text="What the import found, and what is wrong.")
    split = models.JSONField(default=dict, help_text="The dataset's own split: {path or folder: train, val or test}.")
    split_config = models.JSONField(
        default=dict, db_default=Value({}, models.JSONField()), blank=True, help_text="Shares, seed and group instead."
    )
    description = models.TextField(blank=True, default="", db_default="", help_text="What it is, in plain text.")
    total_bytes = models.PositiveBigIntegerField(null=True, help_text="Size of its files, since imports tell it.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    objects = OrganizationQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "name"], name="dataset_name_unique")]

    def __str__(self) -> str:
        return self.name


class DatasetSnapshot(models.Model):
    """A dataset frozen as metadata: every file with its size, its role and its part of the split.

    The list itself is a compressed manifest in the internal store, under
    `manifest_key`; `version_hash` is the SHA-256 of its content.
    """

    organization_path = "dataset__organization"
    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="snapshots")
    version_hash = models.CharField(max_length=64)
    manifest_key = models.CharField(max_length=255)
    file_count = models.PositiveIntegerField()
    total_bytes = models.PositiveBigIntegerField()
    split_counts = models.JSONField(default=dict, help_text="Images in each part: {train: 320, val: 60}.")
    split_seed = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    objects = OrganizationQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["dataset", "version_hash"], name="snapshot_unique")]

    def __str__(self) -> str:
        return f"{self.dataset} @ {self.version_hash[:8]}"
