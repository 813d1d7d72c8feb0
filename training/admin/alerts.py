"""Alerts and what is watched, in the admin: to look at. Addresses of targets are not shown."""

from django.contrib import admin

from platform_site.admin import ReadOnly, linked
from training.models import Alert, AlertMessage, AlertRule, AlertTarget, JobWatch


@admin.register(AlertTarget)
class AlertTargetAdmin(ReadOnly):
    list_display = ("name", "kind", "shown", "project_link", "sent_at")
    search_fields = ("name", "project__name")
    list_select_related = ("project",)
    exclude = ("secret",)
    project_link = linked("project")


@admin.register(AlertRule)
class AlertRuleAdmin(ReadOnly):
    list_display = ("name", "kind", "project_link", "enabled", "created_at")
    list_filter = ("kind", "enabled")
    search_fields = ("name", "project__name")
    list_select_related = ("project",)
    project_link = linked("project")


@admin.register(Alert)
class AlertAdmin(ReadOnly):
    list_display = ("title", "rule_link", "job_link", "created_at")
    search_fields = ("title", "=job__id")
    list_select_related = ("rule", "job")
    ordering = ("-id",)
    rule_link = linked("rule")
    job_link = linked("job")


@admin.register(AlertMessage)
class AlertMessageAdmin(ReadOnly):
    list_display = ("id", "state", "alert_link", "target_link", "tries", "due_at", "sent_at", "error")
    list_filter = ("state",)
    search_fields = ("alert__title", "target__name")
    list_select_related = ("alert", "target")
    ordering = ("-id",)
    alert_link = linked("alert")
    target_link = linked("target")


@admin.register(JobWatch)
class JobWatchAdmin(ReadOnly):
    list_display = ("job_link", "seq", "nan_metric", "nan_value", "best_at", "latest_at", "reason")
    search_fields = ("=job__id",)
    list_select_related = ("job",)
    ordering = ("-id",)
    job_link = linked("job")
