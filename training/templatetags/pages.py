"""What templates need to show a run: icons, states, numbers, durations, sentences about events."""

import json
import math
from datetime import UTC, datetime
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _

from training.jobs.failures import WORDS
from training.jobs.resume import place_of
from training.models import (
    Checkpoint,
    ErrorType,
    InferenceJob,
    InferenceState,
    JobState,
    LogLevel,
    TrainingJob,
)
from training.said import said as said_stored
from training.templatetags.events import by_whom, event_title
from training.templatetags.text import plain_text, terminal_html
from training.templatetags.times import ago_words, duration

register = template.Library()
register.filter(duration)

LOOKS = {
    JobState.DRAFT: ("idle", "draft"),
    JobState.QUEUED: ("idle", "queued"),
    JobState.CLAIMED: ("busy", "starting"),
    JobState.RUNNING: ("busy", "running"),
    JobState.FINALIZING: ("busy", "finalizing"),
    JobState.COMPLETED: ("good", "completed"),
    JobState.FAILED: ("bad", "failed"),
    JobState.LOST: ("warn", "lost"),
    JobState.CANCELLING: ("warn", "stop"),
    JobState.CANCELLED: ("idle", "cancelled"),
}
INFERENCE_LOOKS = {
    InferenceState.WAITING: ("idle", "queued"),
    InferenceState.WORKING: ("busy", "running"),
    InferenceState.COMPLETED: ("good", "completed"),
    InferenceState.FAILED: ("bad", "failed"),
}
ADVICE = {
    ErrorType.DATASET_ERROR: _("The message names the file: mend it, import the dataset again, and start a new job."),
    ErrorType.CONFIG_ERROR: _("Change the setting that the message names, and start a new job."),
    ErrorType.RESOURCE_ERROR: _("Start again with a smaller batch or image size, or on a larger machine."),
    ErrorType.FRAMEWORK_ERROR: _("The training program stopped by itself. The first error in the log tells where."),
    ErrorType.STORAGE_ERROR: _(
        "A file could not be stored or read. Check the storage and its space, then start again."
    ),
    ErrorType.NETWORK_ERROR: _("Something that the trainer needs could not be reached. Start again when it can."),
}
SYSTEM_WORDS = {
    gettext_noop("disk"),
    gettext_noop("memory"),
    gettext_noop("power"),
    gettext_noop("temperature"),
    gettext_noop("trainer"),
    gettext_noop("used"),
}
UNITS = {
    ".utilization": " %",
    ".percent": " %",
    ".cpu": " %",
    "_gib": " GiB",
    ".temperature": " °C",
    "_watts": " W",
}


@register.simple_tag
def icon(name: str) -> SafeString:
    """A picture from the sprite; the words beside it say what it means."""
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}#{}"/></svg>', static("img/icons.svg"), name)


@register.simple_tag
def state_pill(state: str) -> SafeString:
    """A job's state by colour, picture and word."""
    known = JobState(state)
    tone, picture = LOOKS[known]
    return format_html('<span class="pill {}">{}{}</span>', tone, icon(picture), known.label)


@register.simple_tag
def inference_pill(state: str) -> SafeString:
    """The state of a quick test by colour, picture and word."""
    known = InferenceState(state)
    tone, picture = INFERENCE_LOOKS[known]
    return format_html('<span class="pill {}">{}{}</span>', tone, icon(picture), known.label)


@register.filter
def unlocalized(number: float) -> str:
    """A number as attributes want it, in every language."""
    return f"{number:.4f}"


@register.filter
def colour(number: int) -> int:
    """The place of a class among the twelve colours."""
    return number % 12


@register.filter
def text_size(inference: InferenceJob) -> str:
    """Of the names on a picture, in its own pixels."""
    return f"{max(inference.width, inference.height) / 32:.1f}"


@register.filter
def dot_size(inference: InferenceJob) -> str:
    return f"{max(inference.width, inference.height) / 120:.1f}"


@register.filter
def tone(state: str) -> str:
    return LOOKS[JobState(state)][0]


@register.filter
def cause_title(code: str) -> str:
    """What happened, in a few words; the code itself where it is one of a newer version."""
    return gettext(WORDS[code].title) if code in WORDS else code.replace("_", " ").capitalize()


@register.filter
def advice(job: TrainingJob) -> str:
    """What to do after a failure of this kind."""
    if job.error_code in WORDS:
        return gettext(WORDS[job.error_code].advice)
    known = ADVICE.get(job.error_type)  # type: ignore[call-overload]
    return str(known or gettext("The log and the events below tell what happened before."))


@register.filter
def time_left(until: datetime) -> str:
    """From now until a time, in words; no less than nothing."""
    return duration((until - timezone.now()).total_seconds())


@register.filter
def figure(value: float | None) -> str:
    """Five significant digits at most; NaN and infinities by name."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    size = abs(value)
    if value == int(value) and size < 1e7:
        return f"{int(value)}"
    if size >= 1e5 or size < 1e-3:
        return f"{value:.2e}"
    return f"{value:.{4 if size < 1 else 3 if size < 100 else 1}f}"


@register.filter
def measured(value: float) -> str:
    """A measurement of the machine, for a glance."""
    if not math.isfinite(value):
        return figure(value)
    return f"{value:.0f}" if abs(value) >= 20 else f"{value:.1f}"


@register.filter
def job_seconds(job: TrainingJob) -> float | None:
    """For how long a job has run, or ran."""
    if job.started_at is None:
        return None
    return ((job.ended_at or timezone.now()) - job.started_at).total_seconds()


@register.simple_tag
def took(start: datetime, end: datetime | None = None) -> str:
    """How long it was from one moment to another, or is until now, in words."""
    return duration(((end or timezone.now()) - start).total_seconds())


@register.filter
def place(checkpoint: Checkpoint) -> str:
    """Up to where a checkpoint reaches: `after epoch 5`."""
    return said_stored(place_of(checkpoint))


@register.filter
def system_name(name: str) -> str:
    """`system/gpu.0.utilization` as people say it: GPU 0."""
    for end in ("_gib", "_watts", ".utilization", ".percent"):
        name = name.removesuffix(end)
    words = plain_text(name).removeprefix("system/").replace(".", " ").replace("_", " ").split()
    text = " ".join(word.upper() if word in ("gpu", "cpu", "ram") else _system_word(word) for word in words)
    return text[:1].upper() + text[1:]


def _system_word(word: str) -> str:
    return gettext(word) if word in SYSTEM_WORDS else word


@register.filter
def system_unit(name: str) -> str:
    """The unit of a measurement, as its name ends; empty where the name does not tell."""
    return next((unit for end, unit in UNITS.items() if name.endswith(end)), "")


@register.filter
def artifact_kind(kind: str) -> str:
    """A trainer's word for what its pictures show, as people say it."""
    known = {
        "prediction": gettext("Predictions"),
        "truth": gettext("The labels of the same pictures"),
        "curve": gettext("Curves"),
    }
    return known.get(kind, plain_text(kind).replace("_", " ").capitalize())


@register.filter
def moment(seconds: float) -> datetime:
    """A time of the journal as a datetime."""
    return datetime.fromtimestamp(seconds, UTC)


@register.simple_tag
def ago(time: datetime | None) -> SafeString | str:
    """How long ago a time was, with the time itself on hover; the page's script keeps the words up to date."""
    if time is None:
        return "–"
    text = ago_words((timezone.now() - time).total_seconds())
    template_text = '<time datetime="{}" title="{} UTC" data-ago="{}">{}</time>'
    return format_html(template_text, time.isoformat(), f"{time:%Y-%m-%d %H:%M:%S}", int(time.timestamp()), text)


@register.filter
def said(text: Any) -> str:
    """A sentence that is stored in English, in the reader's language."""
    return said_stored(str(text))


@register.filter
def plain(text: Any) -> str:
    """A name or message on one line, with control and direction characters made visible."""
    return plain_text(str(text))


@register.filter
def terminal(text: str) -> SafeString:
    """A log message with its terminal colours as spans, and nothing else of its powers."""
    return terminal_html(text)


@register.filter
def level_name(level: int) -> str:
    return LogLevel(level).label if level in LogLevel.values else str(level)


@register.filter
def setting(value: Any) -> str:
    """A setting's value as it would be written in JSON, strings without quotes."""
    return str(value) if isinstance(value, str | Promise) else json.dumps(value, ensure_ascii=False)


@register.filter
def percent(value: float, whole: float = 100.0) -> float:
    """A share of `whole` from 0 to 100, for meters."""
    return 0.0 if not math.isfinite(value) else max(0.0, min(100.0, 100.0 * value / whole))


@register.inclusion_tag("training/_event.html")
def event_line(event: Any) -> dict[str, Any]:
    """One event as a sentence."""
    data = event.data
    kind = data.get("type", "")
    to = data.get("to")
    if kind == "state" and to in JobState.values:
        look, picture = LOOKS[JobState(to)]
        told = {"title": JobState(to).label, "by": by_whom(data), "text": said_stored(str(data.get("reason") or ""))}
    else:
        look, picture = {"checkpoint": ("idle", "download"), "note": ("idle", "draft"), "nan": ("warn", "warning")}.get(
            kind, ("idle", "draft")
        )
        text = data.get("text") or data.get("message") or data.get("reason") or ""
        told = {"title": event_title(data), "by": "", "text": said_stored(str(text))}
    return told | {"tone": look, "icon": picture, "time": event.time, "seq": event.seq}
