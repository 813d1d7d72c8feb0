"""Projects, jobs and machines in the admin. States are told by the state machine: looked at here, never edited."""

from collections.abc import Callable

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse

from platform_site.admin import Kept, ReadOnly, confirmed, linked
from training.jobs.services import job_cancel, job_restart
from training.jobs.transition import NotAllowed
from training.models import (
    Checkpoint,
    Experiment,
    FollowerCursor,
    JobAttempt,
    MetricNames,
    MetricSummary,
    Project,
    Slot,
    TrainingJob,
    User,
    Worker,
)


class ExperimentInline(admin.TabularInline):
    model = Experiment
    extra = 0
    show_change_link = True
    can_delete = False


@admin.register(Project)
class ProjectAdmin(Kept):
    list_display = ("name", "organization_link", "archived_at", "created_at")
    list_filter = (("archived_at", admin.EmptyFieldListFilter),)
    search_fields = ("name", "organization__name")
    autocomplete_fields = ("organization",)
    readonly_fields = ("created_at",)
    list_select_related = ("organization",)
    inlines = (ExperimentInline,)
    organization_link = linked("organization")

    def view_on_site(self, project: Project) -> str:
        return reverse("project-page", args=[project.pk])


@admin.register(Experiment)
class ExperimentAdmin(Kept):
    list_display = ("name", "project_link", "created_at")
    search_fields = ("name", "project__name")
    autocomplete_fields = ("project",)
    readonly_fields = ("created_at",)
    list_select_related = ("project",)
    project_link = linked("project")


class AttemptInline(admin.TabularInline):
    model = JobAttempt
    extra = 0
    can_delete = False
    show_change_link = True
    fields = readonly_fields = ("number", "worker", "device", "outcome", "opened_at", "ended_at")

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(TrainingJob)
class TrainingJobAdmin(ReadOnly):
    list_display = ("id", "name", "state", "experiment_link", "trainer", "dataset_link", "by_link", "created_at")
    list_display_links = ("id", "name")
    list_filter = ("state", "trainer", "task_type", "queue", "error_type")
    search_fields = ("=id", "name", "model_name", "created_by__username", "experiment__project__name")
    list_select_related = ("experiment", "dataset", "created_by")
    ordering = ("-id",)
    inlines = (AttemptInline,)
    actions = ("cancel", "restart")
    experiment_link = linked("experiment")
    dataset_link = linked("dataset")
    by_link = linked("created_by", "asked for by")

    def view_on_site(self, job: TrainingJob) -> str:
        return reverse("job-page", args=[job.pk])

    @admin.action(description="Cancel", permissions=["view"])
    @confirmed("Cancel these jobs? Running ones save their last checkpoint first.")
    def cancel(self, request: HttpRequest, jobs: QuerySet[TrainingJob]) -> None:
        self._each(request, jobs, job_cancel, "cancelled")

    @admin.action(description="Restart (queue again)", permissions=["view"])
    @confirmed("Run these jobs again from the beginning, as new attempts?")
    def restart(self, request: HttpRequest, jobs: QuerySet[TrainingJob]) -> None:
        self._each(request, jobs, job_restart, "queued again")

    def _each(
        self,
        request: HttpRequest,
        jobs: QuerySet[TrainingJob],
        verb: Callable[[TrainingJob, User], TrainingJob],
        done: str,
    ) -> None:
        assert isinstance(request.user, User)
        count = 0
        for job in jobs:
            try:
                verb(job, request.user)
                count += 1
            except NotAllowed as refusal:
                self.message_user(request, f"{job.pk} {job}: {refusal}", messages.WARNING)
        self.message_user(request, f"{count} jobs: {done}.", messages.SUCCESS if count else messages.INFO)


@admin.register(JobAttempt)
class JobAttemptAdmin(ReadOnly):
    list_display = ("id", "job_link", "number", "worker_link", "outcome", "opened_at", "heartbeat_at", "ended_at")
    list_filter = ("outcome", ("ended_at", admin.EmptyFieldListFilter))
    search_fields = ("=job__id", "job__name", "worker__name")
    list_select_related = ("job", "worker")
    ordering = ("-id",)
    job_link = linked("job")
    worker_link = linked("worker")


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnly):
    list_display = ("id", "kind", "epoch", "job_link", "size", "created_at")
    list_filter = ("kind",)
    search_fields = ("=job__id", "job__name", "key", "=sha256")
    list_select_related = ("job",)
    job_link = linked("job")


class SlotInline(admin.TabularInline):
    model = Slot
    extra = 0
    can_delete = False
    fields = readonly_fields = ("device", "label", "attempt")

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(Worker)
class WorkerAdmin(ReadOnly):
    list_display = ("name", "host", "version", "started_at", "seen_at")
    search_fields = ("name", "host")
    inlines = (SlotInline,)


@admin.register(Slot)
class SlotAdmin(ReadOnly):
    list_display = ("id", "device", "label", "worker_link", "attempt_link")
    search_fields = ("label", "worker__name")
    list_select_related = ("worker", "attempt__job")
    worker_link = linked("worker")
    attempt_link = linked("attempt")


@admin.register(MetricSummary)
class MetricSummaryAdmin(ReadOnly):
    list_display = ("name", "job_link", "count", "nonfinite", "latest", "best", "best_epoch")
    search_fields = ("=job__id", "name")
    list_select_related = ("job",)
    ordering = ("-id",)
    job_link = linked("job")


@admin.register(MetricNames)
class MetricNamesAdmin(ReadOnly):
    list_display = ("__str__", "digest")
    search_fields = ("names",)


@admin.register(FollowerCursor)
class FollowerCursorAdmin(ReadOnly):
    list_display = ("follower", "job_link", "seq")
    list_filter = ("follower",)
    search_fields = ("=job__id",)
    list_select_related = ("job",)
    ordering = ("-id",)
    job_link = linked("job")
