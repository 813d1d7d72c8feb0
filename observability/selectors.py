"""Every read of the ledger for people: one row for each backend that hears of a job, or could."""

from dataclasses import dataclass

from django.utils import timezone
from django.utils.translation import gettext

from observability.base import REFUSED
from observability.models import Breaker, Delivery, DeliveryState
from observability.registry import ALWAYS, configured, label
from training.journal.reader import heads, records_after
from training.models import TrainingJob

LIVE = (DeliveryState.PENDING, DeliveryState.ACTIVE, DeliveryState.WAITING)


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """What the job page shows of one delivery, in seconds where it is a time.

    `lag` tells since when the oldest record that is not delivered could have
    been: a backend that is told of an old job is not years behind.
    """

    backend: str
    label: str
    delivery: Delivery | None = None
    pending: int = 0
    lag: float | None = None
    retry_in: float | None = None
    note: str = ""

    @property
    def state(self) -> DeliveryState | None:
        return DeliveryState(self.delivery.state) if self.delivery else None

    @property
    def link(self) -> str:
        """The experiment's address, if it is one that a browser may be sent to."""
        url = self.delivery.url if self.delivery else ""
        return url if url.startswith(("http://", "https://")) else ""

    @property
    def stuck(self) -> bool:
        return self.state in (DeliveryState.WAITING, DeliveryState.PAUSED)

    @property
    def live(self) -> bool:
        return self.state in LIVE or self.pending > 0


def ledger_rows(job: TrainingJob) -> list[LedgerRow]:
    """The job's deliveries, then the backends that are configured and are not told of it."""
    head = heads([job.pk]).get(job.pk)
    reached = head.seq if head else 0
    breakers = {one.backend: one for one in Breaker.objects.filter(opened_until__isnull=False)}
    rows = {one.backend: _row(one, reached, breakers.get(one.backend)) for one in Delivery.objects.filter(job=job)}
    for name in configured():
        if name not in rows:
            expected = name == ALWAYS or name in job.observability_backends
            opening = expected and ALWAYS not in rows
            note = gettext("Not opened yet.") if opening else gettext("Not chosen for this job.")
            rows[name] = LedgerRow(name, _label(name), note=note)
    return sorted(rows.values(), key=lambda row: (row.backend != ALWAYS, row.delivery is None, row.label.lower()))


def _label(name: str) -> str:
    """The tools have names; the platform's own database has a word."""
    return gettext("Database") if name == ALWAYS else label(name)


def _row(delivery: Delivery, reached: int, breaker: Breaker | None) -> LedgerRow:
    pending = max(0, reached - delivery.seq)
    now, lag = timezone.now(), None
    if pending and (waiting := records_after(delivery.job_id, delivery.seq, 1)):
        lag = max(0.0, now.timestamp() - max(waiting[0].time, delivery.created_at.timestamp()))
    retry_in = max(0.0, (delivery.next_try_at - now).total_seconds()) if delivery.next_try_at else None
    note = gettext("This backend fails for every job; it is tried again soon.") if breaker and pending else ""
    if delivery.backend not in configured():
        note = gettext("This backend is no longer configured.")
    if refused := delivery.adapter_state.get(REFUSED):
        text = gettext("It does not take %(count)s points or lines of this job, such as lines that are too old.")
        note = f"{text % {'count': refused}} {note}".strip()
    return LedgerRow(delivery.backend, _label(delivery.backend), delivery, pending, lag, retry_in, note)
