"""Celery's doors: a training worker's work, and the sweep that makes good for every message that was lost."""

import logging
import threading
from collections.abc import Callable
from typing import Any

from celery import shared_task
from celery.exceptions import WorkerShutdown
from celery.signals import worker_ready, worker_shutting_down

from training.alerts.follow import jobs_watch
from training.alerts.sending import alerts_due, alerts_send
from training.disks import disks_measure
from training.execution.finalize import jobs_finalize
from training.execution.owner import trainer_owner
from training.execution.reaper import jobs_reap
from training.execution.supervisor import attempt_run
from training.execution.workers import WorkerHere
from training.imports.removals import removals_work
from training.imports.sources import work_folders_sweep
from training.imports.uploads import uploads_sweep
from training.imports.work import import_claim, import_run, imports_reap
from training.inference.run import inference_run
from training.inference.services import inference_claim, inferences_sweep
from training.jobs.attempts import job_claim_next
from training.jobs.keeping import jobs_purge
from training.jobs.validation import jobs_validate
from training.jobs.wakeups import queue_wake
from training.models import DatasetImport, ImportState, JobState, StoredRemoval, TrainingJob
from training.people.answers import answers_sweep
from training.retention import checkpoints_expire
from training.weights import weights_sweep

logger = logging.getLogger(__name__)
stopping = threading.Event()
importing, removing, alerting = threading.Lock(), threading.Lock(), threading.Lock()
here = WorkerHere(stopping)


@shared_task
def work(queue: str) -> None:
    """Run the queued jobs of a queue one after another, until none is left for this worker."""
    worker = here.announced()
    while not stopping.is_set() and (attempt := job_claim_next(worker, [queue])):
        attempt_run(attempt, stopping)


@shared_task
def infer() -> None:
    """Try models on the pictures that wait, one after another, until none is left."""
    while not stopping.is_set() and (inference := inference_claim()):
        inference_run(inference, stopping)


@shared_task
def sweep() -> None:
    """Look after every job that waits for something; may run twice, late or at the same time without harm."""
    steps: list[Callable[[], Any]] = [
        jobs_reap,
        jobs_finalize,
        jobs_validate,
        imports_reap,
        queues_wake,
        data_wake,
        answers_sweep,
        inferences_sweep,
        weights_sweep,
        uploads_sweep,
        jobs_watch,
    ]
    for step in steps:
        try:
            step()
        except Exception:
            logger.exception("%s failed; the other steps of the sweep go on", step.__name__)


@shared_task
def housekeep() -> None:
    """Remove for good what was deleted long ago, and measure the disks; may run twice, late or never without harm."""
    for step in (jobs_purge, checkpoints_expire, disks_measure):
        try:
            step()
        except Exception:
            logger.exception("%s failed; the next turn tries again", step.__name__)


@shared_task
def imports() -> None:
    """Import what was asked for, one after another; one at a time, so that a maintenance worker has threads left."""
    if importing.acquire(blocking=False):
        try:
            work_folders_sweep()
            while not stopping.is_set() and (claimed := import_claim()):
                import_run(claimed, stopping)
        finally:
            importing.release()


@shared_task
def removals() -> None:
    """Remove files that belong to nothing any more, for some seconds; the sweep wakes again while some are left."""
    if removing.acquire(blocking=False):
        try:
            removals_work(stopping)
        finally:
            removing.release()


@shared_task
def alerts() -> None:
    """Send the alerts that are due, until none is; one round at a time, so that threads are left for other work."""
    if alerting.acquire(blocking=False):
        try:
            while not stopping.is_set() and alerts_due():
                alerts_send()
        finally:
            alerting.release()


def data_wake() -> None:
    """Wake the maintenance workers for imports, removals and alerts that wait."""
    if alerts_due():
        queue_wake("alerts")
    if DatasetImport.objects.filter(state=ImportState.QUEUED).exists():
        queue_wake("imports")
    if StoredRemoval.objects.exists():
        queue_wake("removals")


def queues_wake() -> None:
    """Wake the workers of every queue in which a job waits to be claimed."""
    waiting = TrainingJob.objects.filter(state=JobState.QUEUED, validated_at__isnull=False)
    for queue in waiting.values_list("queue", flat=True).distinct():
        queue_wake(queue)


@worker_ready.connect
def _announce(sender: Any, **_: Any) -> None:
    """A worker that serves training queues offers its slots and looks at its queues; others have none."""
    served = {queue.name for queue in sender.app.amqp.queues.consume_from.values()}
    if "inference" in served:
        queue_wake("inference")
    queues = served - {"maintenance", "delivery", "inference"}
    if queues:
        try:
            trainer_owner()
        except OSError as error:  # every job would fail: rather let them wait for a worker that is set up
            logger.critical("%s", error)
            raise WorkerShutdown(1) from error
        here.name = sender.hostname
        here.queues = sorted(served - {"maintenance", "delivery"})
        for queue in sorted(queues):
            queue_wake(queue)
        return
    if "inference" in served:
        here.present(sender.hostname, ["inference"])
    if "maintenance" in served:
        queue_wake("maintenance")


@worker_shutting_down.connect
def _stop(**_: Any) -> None:
    stopping.set()
