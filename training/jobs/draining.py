"""A worker that is told to finish what it runs and to take no more; and to take jobs again."""

from django.db import transaction
from django.db.models.functions import Now

from training.jobs.turns import in_turn
from training.jobs.wakeups import queue_wake
from training.models import Worker
from training.people.audit import audit


def worker_drain(worker: Worker) -> None:
    """From now on it claims no job. A repeat keeps the first moment."""
    with transaction.atomic():
        if Worker.objects.filter(pk=worker.pk, draining_at=None).update(draining_at=Now()):
            audit("worker.drain", worker)


def worker_undrain(worker: Worker) -> None:
    """It takes jobs again; those that wait are told to it."""
    with transaction.atomic():
        if Worker.objects.filter(pk=worker.pk, draining_at__isnull=False).update(draining_at=None):
            audit("worker.undrain", worker)
    for queue in set(in_turn().values_list("queue", flat=True)):
        queue_wake(queue)
