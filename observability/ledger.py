"""Every change of a delivery: opened, claimed, moved, failed, released. Only the holder of its lease moves it."""

import random
import secrets
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from observability.base import AdapterError
from observability.models import Delivery, DeliveryState
from observability.registry import ALWAYS, configured
from training.jobs.clock import now_plus
from training.jobs.states import ENDED
from training.journal.rows import write_turn
from training.models import JobState, JournalRecord, TrainingJob

RETRY_FIRST_SECONDS = 1.0
SETTLED_AFTER = timedelta(hours=1)  # nothing is said of a job so long after its end
OPENED_AT_ONCE = 500
FREE = Q(lease_until=None) | Q(lease_until__lt=Now())


class LeaseLost(Exception):
    """Another worker has the delivery now, or somebody has changed it: nothing more may be sent."""


def deliveries_open(job_ids: Iterable[int] | None = None) -> int:
    """Make the deliveries of jobs that have none yet; how many jobs those were.

    A job is told to the backends that were chosen when it was made. One that is
    configured later gets it by `backfill`, never silently.
    """
    jobs = TrainingJob.objects.exclude(state=JobState.DRAFT)
    if job_ids is not None:
        jobs = jobs.filter(pk__in=job_ids)
    missing = ~Exists(Delivery.objects.filter(job=OuterRef("pk"), backend=ALWAYS))
    found = list(jobs.filter(missing).order_by("pk").values_list("pk", "observability_backends")[:OPENED_AT_ONCE])
    rows = [
        Delivery(job_id=job_id, backend=name)
        for job_id, wanted in found
        for name in configured()
        if name == ALWAYS or name in wanted
    ]
    if rows:
        with write_turn():
            Delivery.objects.bulk_create(rows, ignore_conflicts=True)
    return len(found)


def backfill(job_ids: Collection[int], backend: str) -> int:
    """Have `backend` told everything of these jobs, from the first record on; how many deliveries that opened.

    A delivery that exists goes on where it stands, at once.
    """
    with write_turn():
        before = Delivery.objects.filter(backend=backend, job__in=job_ids).count()
        rows = [Delivery(job_id=job_id, backend=backend) for job_id in job_ids]
        Delivery.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)
    retry(Delivery.objects.filter(backend=backend, job__in=job_ids))
    return len(rows) - before


def retry(deliveries: QuerySet[Delivery]) -> int:
    """Try these again now, the paused ones too; how many there were."""
    stuck = deliveries.filter(state__in=[DeliveryState.PAUSED, DeliveryState.WAITING])
    with write_turn():
        return stuck.update(state=DeliveryState.ACTIVE, next_try_at=None, error_count=0)


def due(backend: str) -> QuerySet[Delivery]:
    """The deliveries of a backend that have something to send and may be claimed now."""
    more = Exists(JournalRecord.objects.filter(job=OuterRef("job"), seq__gt=OuterRef("seq")))
    untold = Q(job__state__in=ENDED) & (Q(finalized_seq=0) | Q(finalized_seq__lt=F("ended_seq")))
    return (
        Delivery.objects.filter(Q(next_try_at=None) | Q(next_try_at__lte=Now()), FREE, backend=backend)
        .exclude(state=DeliveryState.PAUSED)
        .exclude(state=DeliveryState.FINISHED, job__ended_at__lt=Now() - SETTLED_AFTER)
        .filter(more | untold)
    )


def claim(backend: str, among: Collection[int] | None = None) -> Delivery | None:
    """The due delivery that has waited longest, claimed by one update on its lease; None if there is none."""
    waiting = due(backend) if among is None else due(backend).filter(job__in=among)
    for key in waiting.order_by(F("turn_at").asc(nulls_first=True), "pk").values_list("pk", flat=True)[:5]:
        token = secrets.token_hex(16)
        with write_turn():
            lease = {"lease_until": now_plus(settings.DELIVERY_LEASE_SECONDS), "lease_token": token}
            taken = Delivery.objects.filter(FREE, pk=key).update(**lease, turn_at=Now())
        if taken:
            return Delivery.objects.get(pk=key, lease_token=token)
    return None


def move(delivery: Delivery, **fields: Any) -> None:
    """Store cursors, the adapter's state and whatever else has changed, and renew the lease. Raises LeaseLost."""
    _update(delivery, fields | {"lease_until": now_plus(settings.DELIVERY_LEASE_SECONDS)})
    for name, value in fields.items():
        setattr(delivery, name, value)


def renew(delivery: Delivery) -> None:
    """Keep the lease while a call takes its time. Raises LeaseLost."""
    _update(delivery, {"lease_until": now_plus(settings.DELIVERY_LEASE_SECONDS)})


def release(delivery: Delivery, state: DeliveryState) -> None:
    """Let go of a delivery after a turn without failure. Raises LeaseLost."""
    healthy = {"error_count": 0, "last_error": "", "next_try_at": None}
    _update(delivery, {"state": state, "lease_until": None, "lease_token": "", **healthy})


def give_up(delivery: Delivery) -> None:
    """Let go of a delivery as it is: this worker ends, or the backend is left alone for a while."""
    _update(delivery, {"lease_until": None, "lease_token": ""})


def fail(delivery: Delivery, error: AdapterError) -> None:
    """Record a failed call: a permanent one pauses the delivery, others wait, longer each time. Raises LeaseLost."""
    count = delivery.error_count + 1
    fields = {"last_error": storable(str(error)), "error_count": count, "lease_until": None, "lease_token": ""}
    if error.permanent:
        _update(delivery, fields | {"state": DeliveryState.PAUSED, "next_try_at": None})
    else:
        pause = max(backoff(count), min(error.retry_after or 0.0, 3600.0))
        _update(delivery, fields | {"state": DeliveryState.WAITING, "next_try_at": now_plus(pause)})


def storable(text: str) -> str:
    """A foreign program's words as every database takes them: no NUL, no half characters, not too many."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()[:4000]


def backoff(count: int) -> float:
    """Seconds to wait after so many failures in a row: exponential, with full jitter, so that crowds spread out."""
    longest = min(settings.DELIVERY_RETRY_SECONDS, RETRY_FIRST_SECONDS * 2 ** min(count - 1, 20))
    return random.uniform(longest / 10, longest)


def _update(delivery: Delivery, fields: Mapping[str, Any]) -> None:
    with write_turn():
        held = Delivery.objects.filter(pk=delivery.pk, lease_token=delivery.lease_token).update(**fields)
    if not held:
        raise LeaseLost(str(delivery))
