"""Celery's door: opens the deliveries of new jobs and wakes the lanes of this worker."""

from typing import Any

from celery import shared_task
from celery.signals import worker_ready, worker_shutting_down

from observability.lanes import Lanes
from observability.ledger import deliveries_open

lanes = Lanes()


@shared_task
def deliver() -> None:
    """Look for something to send. Sent on every wake-up and by the beat; ends at once, the lanes do the work."""
    deliveries_open()
    lanes.wake()


@worker_ready.connect
def _start(sender: Any, **_: Any) -> None:
    """A worker that serves the queue `delivery` starts its lanes; others have none."""
    if "delivery" in {queue.name for queue in sender.app.amqp.queues.consume_from.values()}:
        lanes.wake()


@worker_shutting_down.connect
def _stop(**_: Any) -> None:
    lanes.stop()
