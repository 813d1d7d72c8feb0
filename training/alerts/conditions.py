"""What a rule waits for: the condition of each kind, checked, and in words."""

import math
from fnmatch import fnmatchcase
from typing import Any

from django.core.exceptions import ValidationError

from training.models import JobState

KINDS = {
    "state": "A job reaches a state",
    "metric": "A metric is beyond a threshold",
    "nan": "A value is not a number",
    "stalled": "A run reports nothing any more",
    "worker": "A job's worker is gone",
}
STATES = (JobState.RUNNING, JobState.COMPLETED, JobState.FAILED, JobState.LOST, JobState.CANCELLED)
MAX_REPORTS, MAX_MINUTES = 10_000, 10_080


def condition_clean(kind: str, raw: dict[str, Any]) -> dict[str, Any]:
    """The condition with nothing but what its kind has. Raises ValidationError with a message per key."""
    if kind not in KINDS:
        raise ValidationError({"kind": f"A rule is one of {', '.join(KINDS)}."})
    if kind == "state":
        states = [str(one) for one in raw.get("states") or []]
        if not states or not set(states) <= set(STATES):
            raise ValidationError({"states": f"Choose some of {', '.join(STATES)}."})
        return {"states": [str(one.value) for one in STATES if one in states]}
    if kind == "metric":
        return _metric_clean(raw)
    if kind == "stalled":
        return {"minutes": _whole(raw, "minutes", 10, MAX_MINUTES)}
    return {}


def _metric_clean(raw: dict[str, Any]) -> dict[str, Any]:
    metric, side, threshold = str(raw.get("metric") or "").strip(), raw.get("side") or "above", raw.get("threshold")
    errors = {}
    if not metric or len(metric) > 255 or not metric.isprintable():
        errors["metric"] = "Name a metric, or a pattern such as val/*."
    if side not in ("above", "below"):
        errors["side"] = "It is above or below."
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not math.isfinite(threshold):
        errors["threshold"] = "A threshold is a number."
    if errors:
        raise ValidationError(errors)
    return {"metric": metric, "side": side, "threshold": threshold, "reports": _whole(raw, "reports", 1, MAX_REPORTS)}


def _whole(raw: dict[str, Any], name: str, usual: int, most: int) -> int:
    value = raw.get(name)
    if value is None:
        return usual
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise ValidationError({name: f"A whole number from 1 to {most:,}."})
    return value


def condition_said(kind: str, condition: dict[str, Any]) -> str:
    """The condition in words."""
    if kind == "state":
        return f"a job becomes {' or '.join(JobState(one).label.lower() for one in condition['states'])}"
    if kind == "metric":
        reports = condition["reports"]
        often = f" in {reports} reports in a row" if reports > 1 else ""
        return f"{condition['metric']} is {condition['side']} {condition['threshold']:g}{often}"
    if kind == "stalled":
        return f"a running job reports no metrics for {condition['minutes']} min"
    return KINDS[kind][:1].lower() + KINDS[kind][1:]


def event_meets(kind: str, condition: dict[str, Any], event: dict[str, Any]) -> str:
    """The title of the alert that an event of the journal means under a rule; empty if none."""
    told, to = event.get("type"), str(event.get("to") or "")
    if kind == "state" and told == "state" and to in condition["states"]:
        return JobState(to).label
    if kind == "nan" and told == "nan":
        return str(event.get("title") or "A value is not a number")
    if kind == "worker" and told == "state" and to == JobState.LOST and event.get("by") == "reaper":
        return "Its worker is gone"
    return ""


def metric_meets(condition: dict[str, Any], name: str) -> bool:
    """Whether a rule is about this metric."""
    return name == condition["metric"] or fnmatchcase(name, condition["metric"])
