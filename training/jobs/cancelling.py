"""A cancel, step by step: asked, seen by the trainer, checkpoint saved, stopped; each with its time or its deadline."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils.functional import lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from training.models import Checkpoint, JobAttempt, JobState, TrainingJob

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

STOP_SECONDS = 5.0  # between asking the process to end and ending it


@dataclass(frozen=True, slots=True)
class Step:
    """`at` is when it happened; until then `by` is the latest. `skipped` steps will not happen any more."""

    title: "_StrOrPromise"
    at: datetime | None = None
    by: datetime | None = None
    note: "_StrOrPromise" = ""
    skipped: bool = False

    @property
    def look(self) -> str:
        return "completed" if self.at else "cancelled" if self.skipped else "queued"


def cancel_steps(job: TrainingJob, attempt: JobAttempt | None) -> list[Step]:
    """How far the cancel of a job has come; empty where none was asked for, or the job had not been claimed."""
    asked = attempt.cancel_requested_at if attempt else None
    if attempt is None or asked is None or job.state not in (JobState.CANCELLING, JobState.CANCELLED):
        return []
    over = job.state == JobState.CANCELLED
    heard = attempt.started_at is not None  # before that there is nobody to see it, and nothing to save
    grace = settings.CANCEL_GRACE_SECONDS if heard else 0.0
    saved = _saved(attempt, asked)
    seen = attempt.cancel_seen_at or (saved.created_at if saved else None)
    unheard = "" if heard else _("it had not started")
    return [
        Step(_("Asked for"), asked),
        Step(
            _("Seen by the trainer"),
            seen,
            None if over else asked + timedelta(seconds=2 * settings.HEARTBEAT_SECONDS),
            unheard or ("" if seen or not over else _("it did not answer")),
            skipped=bool(unheard) or (over and seen is None),
        ),
        Step(
            _("Last checkpoint saved"),
            saved.created_at if saved else None,
            None if over else asked + timedelta(seconds=grace),
            _note_lazily(saved) or unheard or (_("none was uploaded") if over else ""),
            skipped=bool(unheard) or (over and saved is None),
        ),
        Step(
            _("Stopped"),
            attempt.ended_at if over else None,
            None if over else asked + timedelta(seconds=grace + STOP_SECONDS),
        ),
    ]


def _saved(attempt: JobAttempt, asked: datetime) -> Checkpoint | None:
    """The `last` checkpoint that was stored after the cancel was asked for."""
    return (
        Checkpoint.objects.filter(attempt=attempt, kind="last", created_at__gte=asked).order_by("-created_at").first()
    )


def _saved_note(saved: Checkpoint | None) -> str:
    if saved is None:
        return ""
    if saved.epoch is not None:
        return gettext("epoch %(epoch)s") % {"epoch": saved.epoch}
    return gettext("step %(step)s") % {"step": saved.step} if saved.step is not None else ""


_note_lazily = lazy(_saved_note, str)  # one reading of a job is rendered for several languages
