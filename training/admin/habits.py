"""What people set up to suit themselves, in the admin: tags, stars, presets, layouts. Their pages change them."""

from django.contrib import admin

from platform_site.admin import ReadOnly, linked
from training.models import ChartLayout, ExperimentTag, JobPreset, Star


@admin.register(ExperimentTag)
class ExperimentTagAdmin(ReadOnly):
    list_display = ("name", "experiment_link")
    search_fields = ("name", "experiment__name")
    list_select_related = ("experiment",)
    ordering = ("-id",)
    experiment_link = linked("experiment")


@admin.register(Star)
class StarAdmin(ReadOnly):
    list_display = ("id", "user_link", "experiment_link", "job_link", "created_at")
    search_fields = ("user__username",)
    list_select_related = ("user", "experiment", "job")
    ordering = ("-id",)
    user_link = linked("user")
    experiment_link = linked("experiment")
    job_link = linked("job")


@admin.register(JobPreset)
class JobPresetAdmin(ReadOnly):
    list_display = ("name", "organization_link", "trainer", "task_type", "by_link", "updated_at")
    list_filter = ("trainer", "task_type")
    search_fields = ("name", "organization__name")
    list_select_related = ("organization", "created_by")
    organization_link = linked("organization")
    by_link = linked("created_by", "saved by")


@admin.register(ChartLayout)
class ChartLayoutAdmin(ReadOnly):
    list_display = ("user_link", "project_link", "changed_at")
    search_fields = ("user__username", "project__name")
    list_select_related = ("user", "project")
    ordering = ("-id",)
    user_link = linked("user")
    project_link = linked("project")
