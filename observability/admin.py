"""The ledger in Django's admin, for superusers: to look at, to try again, to close a breaker. Nothing is edited."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from observability import breaker
from observability.models import Breaker, Delivery, Tally
from observability.receivers import wake
from observability.registry import configured
from observability.requests import deliveries_retry, jobs_backfill
from platform_site.admin import ReadOnly, confirmed, linked
from training.models import TrainingJob


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly):
    list_display = ("job_link", "backend", "state", "seq", "points", "error_count", "last_error", "delivered_at")
    list_filter = ("backend", "state")
    search_fields = ("=job__id", "experiment_id", "last_error")
    ordering = ("-job_id", "backend")
    list_select_related = ("job",)
    job_link = linked("job")
    exclude = ("lease_token", "adapter_state")
    actions = ("retry", "backfill")

    @admin.action(description="Try again now", permissions=["view"])
    @confirmed("Try these deliveries again now?")
    def retry(self, request: HttpRequest, deliveries: QuerySet[Delivery]) -> None:
        count = deliveries_retry(deliveries)
        self.message_user(request, f"{count} deliveries are tried again.", messages.SUCCESS)

    @admin.action(description="Backfill these jobs into every configured backend", permissions=["view"])
    @confirmed("Send everything that these jobs have said to every configured backend?")
    def backfill(self, request: HttpRequest, deliveries: QuerySet[Delivery]) -> None:
        jobs = list(TrainingJob.objects.filter(deliveries__in=deliveries).distinct())
        opened = sum(jobs_backfill(jobs, name) for name in configured())
        self.message_user(request, f"{opened} deliveries were opened for {len(jobs)} jobs.", messages.SUCCESS)


@admin.register(Breaker)
class BreakerAdmin(ReadOnly):
    list_display = ("backend", "failures", "opened_until", "last_error")
    actions = ("close",)

    @admin.action(description="Try these backends at once", permissions=["view"])
    @confirmed("Close these breakers, and try the backends at once?")
    def close(self, request: HttpRequest, breakers: QuerySet[Breaker]) -> None:
        for backend in breakers.values_list("backend", flat=True):
            breaker.close(backend)
        wake()
        self.message_user(request, "The backends are tried at once.", messages.SUCCESS)


@admin.register(Tally)
class TallyAdmin(ReadOnly):
    list_display = ("name", "labels", "value")
    search_fields = ("name", "labels")
    ordering = ("name", "labels")
