"""Datasets in the admin. They are imported and deleted by their services, which mind their files."""

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from platform_site.admin import ReadOnly, linked
from training.models import Dataset, DatasetImport, DatasetSnapshot, DatasetUpload, DatasetUploadPart, StoredRemoval


class SnapshotInline(admin.TabularInline):
    model = DatasetSnapshot
    extra = 0
    can_delete = False
    show_change_link = True
    fields = readonly_fields = ("version_hash", "file_count", "total_bytes", "created_at")

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(Dataset)
class DatasetAdmin(ReadOnly):
    list_display = ("id", "name", "organization_link", "format", "task_type", "by_link", "created_at")
    list_display_links = ("id", "name")
    list_filter = ("format", "task_type")
    search_fields = ("name", "organization__name")
    list_select_related = ("organization", "created_by")
    exclude = ("split",)  # as long as the list of images
    inlines = (SnapshotInline,)
    organization_link = linked("organization")
    by_link = linked("created_by", "imported by")

    def view_on_site(self, dataset: Dataset) -> str:
        return reverse("dataset-page", args=[dataset.pk])


@admin.register(DatasetSnapshot)
class DatasetSnapshotAdmin(ReadOnly):
    list_display = ("id", "dataset_link", "version_hash", "file_count", "total_bytes", "created_at")
    search_fields = ("version_hash", "dataset__name")
    list_select_related = ("dataset",)
    dataset_link = linked("dataset")


@admin.register(DatasetImport)
class DatasetImportAdmin(ReadOnly):
    list_display = ("id", "name", "state", "organization_link", "dataset_link", "by_link", "created_at", "ended_at")
    list_display_links = ("id", "name")
    list_filter = ("state", "source_kind")
    search_fields = ("name", "source", "organization__name")
    list_select_related = ("organization", "dataset", "created_by")
    ordering = ("-id",)
    organization_link = linked("organization")
    dataset_link = linked("dataset")
    by_link = linked("created_by", "asked for by")


@admin.register(DatasetUpload)
class DatasetUploadAdmin(ReadOnly):
    list_display = ("id", "filename", "organization_link", "size", "by_link", "created_at", "touched_at")
    list_display_links = ("id", "filename")
    search_fields = ("filename", "organization__name")
    list_select_related = ("organization", "created_by")
    ordering = ("-id",)
    organization_link = linked("organization")
    by_link = linked("created_by", "sent by")


@admin.register(DatasetUploadPart)
class DatasetUploadPartAdmin(ReadOnly):
    list_display = ("upload_link", "number", "sha256")
    list_display_links = ("number",)
    search_fields = ("upload__filename",)
    list_select_related = ("upload",)
    ordering = ("upload", "number")
    upload_link = linked("upload")


@admin.register(StoredRemoval)
class StoredRemovalAdmin(ReadOnly):
    list_display = ("key", "store", "below", "tries", "created_at")
    list_filter = ("store",)
    search_fields = ("key",)
    ordering = ("id",)
