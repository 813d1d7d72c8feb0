"""Weights, pictures of results and quick tests in the admin: looked at here, changed by their services."""

from django.contrib import admin

from platform_site.admin import ReadOnly, linked
from training.models import Artifact, InferenceJob, PretrainedWeights


@admin.register(PretrainedWeights)
class PretrainedWeightsAdmin(ReadOnly):
    list_display = ("id", "name", "organization_link", "framework", "task_type", "size", "by_link", "stored_at")
    list_display_links = ("id", "name")
    list_filter = ("framework", "task_type")
    search_fields = ("name", "organization__name", "=sha256")
    list_select_related = ("organization", "created_by")
    organization_link = linked("organization")
    by_link = linked("created_by", "uploaded by")


@admin.register(Artifact)
class ArtifactAdmin(ReadOnly):
    list_display = ("id", "name", "kind", "job_link", "size", "content_type", "created_at")
    list_display_links = ("id", "name")
    list_filter = ("kind",)
    search_fields = ("name", "=job__id", "=sha256")
    list_select_related = ("job",)
    ordering = ("-id",)
    job_link = linked("job")


@admin.register(InferenceJob)
class InferenceJobAdmin(ReadOnly):
    list_display = ("id", "picture_name", "state", "job_link", "by_link", "created_at", "ended_at")
    list_display_links = ("id", "picture_name")
    list_filter = ("state",)
    search_fields = ("picture_name", "=job__id", "created_by__username")
    list_select_related = ("job", "created_by")
    ordering = ("-id",)
    job_link = linked("job")
    by_link = linked("created_by", "asked for by")
