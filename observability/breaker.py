"""The circuit breaker of a backend: after several failures in a row, of whichever job, it is left alone for a while."""

from django.conf import settings
from django.db.models import F
from django.db.models.functions import Now

from observability.ledger import backoff
from observability.models import Breaker, Delivery, DeliveryState
from training.jobs.clock import now_plus
from training.journal.rows import write_turn

OPENS_AFTER = 5


def allows(backend: str) -> bool:
    """Whether the backend may be called. After a pause one worker is let through, to find out how it is."""
    breaker = Breaker.objects.filter(backend=backend).first()
    if breaker is None or breaker.opened_until is None:
        return True
    over = Breaker.objects.filter(backend=backend, opened_until=breaker.opened_until, opened_until__lte=Now())
    if not over.exists():
        return False
    with write_turn():
        return bool(over.update(opened_until=now_plus(settings.DELIVERY_CALL_SECONDS)))


def succeeded(backend: str) -> None:
    """A call was answered. If the backend was left alone, whatever waits for it need not wait longer."""
    troubled = Breaker.objects.filter(backend=backend, failures__gt=0)
    if not troubled.exists():
        return
    with write_turn():
        was_open = Breaker.objects.filter(backend=backend, opened_until__isnull=False).exists()
        troubled.update(failures=0, opened_until=None, last_error="")
        if was_open:
            Delivery.objects.filter(backend=backend, state=DeliveryState.WAITING).update(next_try_at=None)


def failed(backend: str, error: str) -> None:
    """A call failed in a way that may pass; one too many opens the breaker, longer each time."""
    with write_turn():
        breaker, _ = Breaker.objects.get_or_create(backend=backend)
        Breaker.objects.filter(pk=breaker.pk).update(failures=F("failures") + 1, last_error=error)
        extra = breaker.failures + 1 - OPENS_AFTER
        if extra >= 0:
            Breaker.objects.filter(pk=breaker.pk).update(opened_until=now_plus(backoff(extra + OPENS_AFTER)))


def close(backend: str) -> None:
    """Somebody says that the backend is well: try it at once."""
    with write_turn():
        Breaker.objects.filter(backend=backend).update(failures=0, opened_until=None)
