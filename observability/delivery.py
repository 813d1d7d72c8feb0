"""One turn of a delivery: read past the cursor, send, move the cursor. The only loop there is.

A turn sends at most a thousand records and ends after some seconds, so that
many jobs share a backend fairly. Each stretch of the journal is sent as one
batch of points, then its log lines, then its artifacts; after every call the
cursors and the adapter's state are stored together. What a crash leaves unsaid
is the last call, which the next turn makes again with the state of before it.
A batch that the backend refuses is halved, down to the one item that it does
not take, which is then named.
"""

import logging
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from django.conf import settings
from django.db.models.functions import Now

from observability import ledger
from observability.base import Adapter, AdapterError, LogLine, Report
from observability.batches import BatchSize, batches, item_text, stretch
from observability.calls import Caller, TimedOut
from observability.facts import RELATED, checkpoint_told, job_ending, job_facts, log_line
from observability.models import Delivery, DeliveryState
from observability.tallies import tallies
from training.jobs.states import ENDED
from training.journal.reader import Record, heads, lines_after, records_after
from training.models import RecordKind, TrainingJob, TrainingLog

logger = logging.getLogger(__name__)
RECORDS = 1000
TURN_SECONDS = 5.0


class TooMuch(Exception):
    """The backend refused a batch for what it holds: smaller ones follow at once."""


class Turn:
    """One claimed delivery and the caller of its backend. Every method may raise AdapterError or LeaseLost."""

    def __init__(self, delivery: Delivery, adapter: type[Adapter], caller: Caller, tick: Callable[[], None]) -> None:
        self.delivery = delivery
        self._adapter = adapter
        self._caller = caller
        self._tick = tick
        self._state = deepcopy(delivery.adapter_state)
        self._size = BatchSize(adapter.batch_points, settings.DELIVERY_CALL_SECONDS, delivery.halvings)
        self._job = TrainingJob.objects.select_related(*RELATED).get(pk=delivery.job_id)

    def run(self) -> DeliveryState:
        """Send what there is, within bounds; the state in which the delivery is left."""
        deadline = time.monotonic() + TURN_SECONDS
        self._introduce()
        while time.monotonic() < deadline:
            rest = records = records_after(self.delivery.job_id, self.delivery.seq, RECORDS)
            while rest:
                rest = rest[self._sent(stretch(rest, self._size.points)) :]
                if time.monotonic() > deadline:
                    break
            if len(records) < RECORDS:
                break
        return self._conclude()

    def _call(self, name: str, *arguments: Any) -> Any:
        def tick() -> None:
            ledger.renew(self.delivery)
            self._tick()

        self._tick()
        backend, begun, outcome = self.delivery.backend, time.monotonic(), "failed"
        try:
            result = self._caller.call(name, arguments, self._state, tick)
            outcome = "answered"
            return result
        finally:
            tallies.add("platform_delivery_calls", backend, name, outcome)
            tallies.observe("platform_delivery_call_seconds", backend, seconds=time.monotonic() - begun)

    def _move(self, **fields: Any) -> None:
        well = {"error_count": 0, "last_error": "", "delivered_at": Now(), "state": DeliveryState.ACTIVE}
        fields |= {"adapter_state": deepcopy(self._state), "halvings": self._size.halvings}
        ledger.move(self.delivery, **well, **fields)

    def _send(self, call: str, items: Sequence[Report] | Sequence[LogLine], held: int, full: int) -> None:
        """Send a batch of `held` points or lines, where at most `full` are sent. Raises TooMuch if less may pass."""
        began, unsent = time.monotonic(), held if call == "log_metrics" else 0
        try:
            self._call(call, self.delivery.experiment_id, items)
            tallies.add("platform_delivery_sent_points", self.delivery.backend, value=unsent)
            unsent = 0
        except TimedOut:
            self._size.halve(held, full)
            ledger.move(self.delivery, halvings=self._size.halvings)
            raise
        except AdapterError as error:
            if not error.batch:
                raise
            if held <= 1:
                raise AdapterError(f"{item_text(items[0])}: {error}", permanent=True) from error
            self._size.refuse(held, full)
            raise TooMuch from error
        finally:
            tallies.add("platform_delivery_failed_points", self.delivery.backend, value=unsent)
        self._size.answered(held, full, time.monotonic() - began)

    def _introduce(self) -> None:
        if not self.delivery.experiment_id:
            experiment = self._call("create_experiment", job_facts(self._job))
            url = self._call("get_experiment_url", experiment)
            self._move(experiment_id=experiment, url=url)
        if not self.delivery.parameters_sent:
            self._call("log_parameters", self.delivery.experiment_id, self._job.config)
            self._move(parameters_sent=True)

    def _sent(self, window: Sequence[Record]) -> int:
        """Send one stretch of the journal; how many records those were, none where it must be a smaller one."""
        try:
            self._window(window)
        except TooMuch:
            ledger.move(self.delivery, halvings=self._size.halvings)
            self._state = deepcopy(self.delivery.adapter_state)  # as after a crash: it is all said again
            return 0
        return len(window)

    def _window(self, window: Sequence[Record]) -> None:
        """Send one stretch of the journal and move past it."""
        end = window[-1].seq
        points = self._points(window)
        lines = self._adapter.takes_lines and any(
            record.kind == RecordKind.LOG and record.seq > self.delivery.lines_seq for record in window
        )
        told = [found for record in window if (found := self._artifact(record))]
        if points and (lines or told):  # else the last move stores it too
            self._move(metrics_seq=end, points=self.delivery.points + points)
            points = 0
        if lines:
            self._lines(end)
        for artifact in told:
            self._call("log_artifact", self.delivery.experiment_id, *artifact)
        ends = [record.seq for record in window if is_end(record)]
        ended = max([self.delivery.ended_seq, *ends])
        ahead = {name: max(end, getattr(self.delivery, name)) for name in ("metrics_seq", "lines_seq")}
        self._move(seq=end, **ahead, ended_seq=ended, points=self.delivery.points + points)

    def _points(self, window: Sequence[Record]) -> int:
        """Send the reports of a stretch; how many points they hold."""
        new = [one for one in window if one.kind == RecordKind.METRICS and one.seq > self.delivery.metrics_seq]
        full = self._size.points
        for batch in batches(new, full):
            self._send("log_metrics", batch, sum(len(report.values) for report in batch), full)
        return sum(len(record.values) for record in new)

    def _lines(self, end: int) -> None:
        """Send the log lines of a stretch, some at a time, whole records at a time."""
        full = self._size.lines
        while rows := lines_after(self.delivery.job_id, self.delivery.lines_seq, full):
            whole = [row for row in rows if len(rows) < full or row.seq < rows[-1].seq]
            if not whole:  # one record has more lines than that
                whole = list(TrainingLog.objects.filter(job=self._job, seq=rows[0].seq).order_by("n"))
            wanted = [log_line(row) for row in whole if row.seq <= end]
            if not wanted:
                return
            for at in range(0, len(wanted), full):
                part = wanted[at : at + full]
                self._send("log_lines", part, len(part), full)
            self._move(lines_seq=wanted[-1].seq)
            full = self._size.lines

    def _artifact(self, record: Record) -> tuple[str, str, dict[str, Any]] | None:
        return checkpoint_told(self._job, record) if record.kind == RecordKind.EVENT else None

    def _conclude(self) -> DeliveryState:
        """Tell the backend of the job's end, once everything before it is there."""
        self._job.refresh_from_db(fields=["state", "error_message", "ended_at"])
        head = heads([self._job.pk]).get(self._job.pk)
        if head is not None and head.seq > self.delivery.seq:
            return DeliveryState.ACTIVE
        if self._job.state not in ENDED:
            return DeliveryState.CAUGHT_UP
        if not self.delivery.finalized_seq or self.delivery.finalized_seq < self.delivery.ended_seq:
            self._call("finalize", self.delivery.experiment_id, job_ending(self._job))
            self._move(finalized_seq=max(self.delivery.seq, 1))
        return DeliveryState.FINISHED


def is_end(record: Record) -> bool:
    event = record.event or {}
    return event.get("type") == "state" and event.get("to") in ENDED
