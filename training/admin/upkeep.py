"""What the platform keeps for its own use, in the admin: to look at when something is asked about it."""

from django.contrib import admin

from platform_site.admin import ReadOnly, linked
from training.models import CallWindow, DiskUse, ImportedRun, JobNotes, JobTag, KeptAnswer, MetricSeries


@admin.register(KeptAnswer)
class KeptAnswerAdmin(ReadOnly):
    list_display = ("key", "user_link", "status", "created_at")
    search_fields = ("key", "user__username")
    list_select_related = ("user",)
    ordering = ("-id",)
    exclude = ("body",)  # what a person was told is theirs
    user_link = linked("user")


@admin.register(CallWindow)
class CallWindowAdmin(ReadOnly):
    list_display = ("caller", "minute", "calls")
    search_fields = ("caller",)
    ordering = ("-minute",)


@admin.register(DiskUse)
class DiskUseAdmin(ReadOnly):
    list_display = ("place", "used", "files", "free", "total", "measured_at")
    search_fields = ("place",)


@admin.register(ImportedRun)
class ImportedRunAdmin(ReadOnly):
    list_display = ("run", "source", "job_link", "organization_link", "created_at")
    list_filter = ("source",)
    search_fields = ("run", "address", "=job__id")
    list_select_related = ("job", "organization")
    ordering = ("-id",)
    job_link = linked("job")
    organization_link = linked("organization")


@admin.register(JobTag)
class JobTagAdmin(ReadOnly):
    list_display = ("name", "job_link", "organization_link", "created_at")
    search_fields = ("name", "=job__id")
    list_select_related = ("job", "organization")
    ordering = ("-id",)
    job_link = linked("job")
    organization_link = linked("organization")


@admin.register(JobNotes)
class JobNotesAdmin(ReadOnly):
    list_display = ("job_link", "notes_version", "notes_by_link", "notes_at")
    search_fields = ("notes", "=job__id")
    list_select_related = ("job", "notes_by")
    ordering = ("-notes_at",)
    job_link = linked("job")
    notes_by_link = linked("notes_by")


@admin.register(MetricSeries)
class MetricSeriesAdmin(ReadOnly):
    list_display = ("name", "attempt", "job_link")
    search_fields = ("name", "=job__id")
    list_select_related = ("job",)
    ordering = ("-id",)
    job_link = linked("job")
