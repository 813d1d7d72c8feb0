"""What an open page is told: the parts of a job page that may change, read once for whoever is shown them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from training.jobs import selectors
from training.jobs.cancelling import cancel_steps
from training.jobs.lines import newest_between
from training.jobs.waiting import job_waiting
from training.jobs.watching import watch_shown
from training.journal.reader import Record
from training.models import RecordKind

LINES = 300  # log lines in one push; more are told as a number, with a link


@dataclass(frozen=True, slots=True)
class Parts:
    """Which fragments are wanted."""

    status: bool = False
    metrics: bool = False
    checkpoints: bool = False
    events: bool = False

    @classmethod
    def all(cls) -> "Parts":
        return cls(True, True, True, True)

    @classmethod
    def told_by(cls, records: Iterable[Record]) -> "Parts":
        """What these records change: metrics move figures and progress, events anything."""
        kinds = {record.kind for record in records}
        event = RecordKind.EVENT in kinds
        metrics = RecordKind.METRICS in kinds
        return cls(metrics or event, metrics, event, event)

    def __or__(self, other: "Parts") -> "Parts":
        return Parts(
            self.status or other.status,
            self.metrics or other.metrics,
            self.checkpoints or other.checkpoints,
            self.events or other.events,
        )

    def __bool__(self) -> bool:
        return self.status or self.metrics or self.checkpoints or self.events


def news_context(job_id: int, parts: Parts, after: int | None = None, upto: int | None = None) -> dict[str, Any]:
    """The context of `_news.html` and of the job page; with the log lines in (after, upto] if `after` is told.

    Holds nothing that depends on who looks. Raises LookupError if the job is gone.
    """
    status = selectors.job_status(job_id)
    if status is None:
        raise LookupError(f"job {job_id} is gone")
    reached = status.seq if upto is None else upto
    context: dict[str, Any] = {"job": status.job, "status": status, "parts": parts, "seq": reached}
    if parts.status:
        context["waiting"] = job_waiting(status.job)
        context["watch"] = watch_shown(status.job)
        context["cancel"] = cancel_steps(status.job, status.attempt)
    if parts.metrics:
        context["latest"], context["system"] = selectors.job_latest(status)
    if parts.checkpoints:
        context["checkpoints"] = selectors.job_checkpoints(job_id)
        context["artifacts"] = selectors.job_artifacts(job_id)
    if parts.events:
        context["events"] = selectors.job_events(job_id)
    if after is not None:
        context["lines"], context["skipped"] = newest_between(job_id, after, reached, LINES)
    return context
