"""What people ask of deliveries: tried again, or backfilled. The caller has checked the person's right."""

from collections.abc import Iterable

from django.db import transaction

from observability import breaker, ledger
from observability.models import Delivery
from observability.receivers import wake
from training.models import TrainingJob
from training.people.audit import audit


def deliveries_retry(deliveries: Iterable[Delivery]) -> int:
    """Try these again at once, the paused ones too; how many of them waited."""
    asked = list(deliveries)
    for backend in {one.backend for one in asked}:
        breaker.close(backend)
    with transaction.atomic():
        for one in asked:
            old = {"state": one.state, "last_error": one.last_error}
            audit("delivery.retry", one.job, old=old, new={"backend": one.backend})
        tried = ledger.retry(Delivery.objects.filter(pk__in=[one.pk for one in asked]))
    wake()
    return tried


def jobs_backfill(jobs: Iterable[TrainingJob], backend: str) -> int:
    """Tell a backend everything of these jobs that was not meant for it; how many deliveries that opened."""
    asked = list(jobs)
    with transaction.atomic():
        for job in asked:
            audit("delivery.backfill", job, new={"backend": backend})
        opened = ledger.backfill([job.pk for job in asked], backend)
    wake()
    return opened
