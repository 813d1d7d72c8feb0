"""A maintenance worker's part of imports: claimed by one update, told on the way, given back or ended once."""

import logging
import threading
import time
from pathlib import Path

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F
from django.db.models.functions import Now

from training.datasets.scan import DatasetError
from training.datasets.services import dataset_import, prefix_new
from training.jobs.clock import now_plus
from training.models import Dataset, DatasetImport, ImportState, StoredRemoval

logger = logging.getLogger(__name__)
LEASE_SECONDS = 120
TELL_SECONDS = 0.5
MAX_ATTEMPTS = 3
BROKEN = "Something broke on our side. The log of the maintenance worker tells what; an operator can read it."


class Stopped(Exception):
    """The import goes no further here: it was cancelled, its worker ends, or another worker has it."""


class Telling:
    """The progress of one import, written down twice a second at most; raises Stopped where it must not go on."""

    def __init__(self, claimed: DatasetImport, stopping: threading.Event) -> None:
        self.mine = DatasetImport.objects.filter(pk=claimed.pk, attempt=claimed.attempt, state=ImportState.RUNNING)
        self.stopping = stopping
        self.told = float("-inf")
        self.stage = ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        if self.stopping.is_set():
            raise Stopped
        now = time.monotonic()
        if now - self.told < TELL_SECONDS and stage == self.stage:
            return
        self.told, self.stage = now, stage
        try:
            self._tell(stage, done, total)
        except (OperationalError, InterfaceError) as error:  # the database is away for a moment: told the next time
            logger.warning("The progress of an import was not written: %s", error)

    def _tell(self, stage: str, done: int, total: int) -> None:
        going_on = self.mine.filter(cancel_requested_at=None)
        if not going_on.update(stage=stage, done=done, total=total, lease_until=now_plus(LEASE_SECONDS)):
            raise Stopped

    def made(self, dataset: Dataset) -> None:
        """End the import in the transaction that makes its dataset, or undo that."""
        report = dataset.report
        ended = {"state": ImportState.COMPLETED, "ended_at": Now(), "stage": "", "report": report}
        if not self.mine.filter(cancel_requested_at=None).update(dataset=dataset, **ended):
            raise Stopped


def import_claim() -> DatasetImport | None:
    """The import that has waited longest, now this worker's; None if none waits."""
    for waiting in DatasetImport.objects.filter(state=ImportState.QUEUED).order_by("id")[:20]:
        claimed = DatasetImport.objects.filter(pk=waiting.pk, state=ImportState.QUEUED).update(
            state=ImportState.RUNNING,
            attempt=F("attempt") + 1,
            prefix=prefix_new(),
            lease_until=now_plus(LEASE_SECONDS),
            started_at=Now(),
            stage="",
            done=0,
            total=0,
        )
        if claimed:
            return DatasetImport.objects.select_related("organization", "created_by").get(pk=waiting.pk)
    return None


def import_run(claimed: DatasetImport, stopping: threading.Event) -> None:
    """Run a claimed import to its end; if the worker ends meanwhile, it waits again. Never raises."""
    telling = Telling(claimed, stopping)
    try:
        dataset_import(
            claimed.organization,
            claimed.name,
            Path(claimed.source),
            claimed.created_by,
            telling,
            format_name=claimed.format_name,
            task_type=claimed.task_type,
            prefix=claimed.prefix,
            made=telling.made,
        )
    except Stopped:
        _stopped(telling)
    except DatasetError as error:
        _end(telling, ImportState.FAILED, error=str(error), report=error.report)
    except Exception:
        logger.exception("The import %s broke", claimed.pk)
        _end(telling, ImportState.FAILED, error=BROKEN)


def imports_reap() -> None:
    """Let imports wait again whose worker is gone, at most three times; what it had copied is removed."""
    for lost in DatasetImport.objects.filter(state=ImportState.RUNNING, lease_until__lt=Now()):
        mine = DatasetImport.objects.filter(pk=lost.pk, attempt=lost.attempt, state=ImportState.RUNNING)
        with transaction.atomic():
            if lost.cancel_requested_at:
                changed = mine.update(state=ImportState.CANCELLED, ended_at=Now())
            elif lost.attempt >= MAX_ATTEMPTS:
                said = f"The worker that ran it was lost, {MAX_ATTEMPTS} times. Is the machine short of memory?"
                changed = mine.update(state=ImportState.FAILED, error=said, ended_at=Now())
            else:
                changed = mine.update(state=ImportState.QUEUED, stage="", done=0, total=0)
            if changed:
                StoredRemoval.objects.create(store="external", key=lost.prefix, below=True)


def _stopped(telling: Telling) -> None:
    """After a stop: cancelled if that was asked for; else to be run again, unless another worker has it already."""
    if not telling.mine.filter(cancel_requested_at__isnull=False).update(state=ImportState.CANCELLED, ended_at=Now()):
        telling.mine.update(state=ImportState.QUEUED, stage="", done=0, total=0)


def _end(telling: Telling, state: ImportState, **fields: object) -> None:
    telling.mine.update(state=state, ended_at=Now(), stage="", **fields)
