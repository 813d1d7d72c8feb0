"""This machine as a worker: it announces its slots, and cleans up after a predecessor that died."""

import logging
import socket
import threading
from collections.abc import Sequence

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.db.models import F
from django.db.models.functions import Now

from training.execution.executors import executor_here
from training.execution.system import gpu_memory, memory_use
from training.jobs.lost import attempt_give_up
from training.models import JobAttempt, Slot, Worker

logger = logging.getLogger(__name__)
VERSION = "1.1"


class WorkerHere:
    """This process as a worker: announced when it is first needed, and seen as long as it lives."""

    def __init__(self, stopping: threading.Event) -> None:
        self.name = socket.gethostname()
        self.queues: list[str] = []
        self._stopping = stopping
        self._lock = threading.Lock()
        self._worker: Worker | None = None

    def announced(self) -> Worker:
        """The worker's row; the first call registers it and cleans up after a predecessor of the same name."""
        with self._lock:
            if self._worker is None:
                worker = worker_announce(self.name, self.queues)
                worker_recover(worker)
                self._worker = worker
                threading.Thread(target=self._stay_seen, name="worker-seen", daemon=True).start()
            return self._worker

    def present(self, name: str, queues: Sequence[str]) -> None:
        """Tell that this process lives and serves these queues, though it has no slots: it trains nothing."""
        with self._lock:
            if self._worker is None:
                self.name = name
                self._worker = worker_present(name, queues)
                threading.Thread(target=self._stay_seen, name="worker-seen", daemon=True).start()

    def _stay_seen(self) -> None:
        while not self._stopping.wait(settings.HEARTBEAT_SECONDS):
            try:
                worker_seen(self.name)
            except (OperationalError, InterfaceError) as error:
                logger.warning("The database is away: %s", error)
            finally:
                connection.close()


def worker_announce(name: str, queues: Sequence[str] = ()) -> Worker:
    """Register this worker and its slots, all free: whatever ran in them died with its predecessor.

    A worker that was told to drain still does, until somebody takes it back.
    """
    worker = worker_present(name, queues)
    devices = executor_here().devices()
    for device, label in devices.items():
        Slot.objects.update_or_create(worker=worker, device=device, defaults={"label": label, "attempt": None})
    Slot.objects.filter(worker=worker).exclude(device__in=devices).delete()
    worker_seen(name)
    return worker


def worker_present(name: str, queues: Sequence[str]) -> Worker:
    """The worker's row: from now on it is seen."""
    fields = {"host": socket.gethostname(), "version": VERSION, "started_at": Now(), "seen_at": Now()}
    fields["queues"] = ",".join(sorted(queues))
    worker, _ = Worker.objects.update_or_create(name=name, defaults=fields)
    return worker


def worker_seen(name: str) -> None:
    """This worker lives, and has so much memory left."""
    used, total = memory_use()
    free = {"memory_free": int(max(0, total - used)), "memory_total": int(total)}
    Worker.objects.filter(name=name).update(seen_at=Now(), **free)
    for number, (left, whole) in gpu_memory().items():
        Slot.objects.filter(worker__name=name, device=str(number)).update(memory_free=left, memory_total=whole)


def worker_recover(worker: Worker) -> int:
    """End what a dead predecessor left, send what its spools hold, and give its attempts back; how many there were."""
    open_attempts = JobAttempt.objects.filter(worker=worker, ended_at=None, number=F("job__attempt"))
    orphans = list(open_attempts.select_related("job__snapshot", "job__weights_from", "resumed_from", "worker"))
    if (left := executor_here().recover(worker, orphans)) > 0:
        logger.warning("%d trainers or processes of a dead predecessor were ended", left)
    for attempt in orphans:
        attempt_give_up(attempt, "worker", "its worker restarted")
    return len(orphans)
