"""What a rule waits for: the condition of each kind, checked, and in words."""

import math
from fnmatch import fnmatchcase
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from training.models import JobState

KINDS = {
    "state": _("A job reaches a state"),
    "metric": _("A metric is beyond a threshold"),
    "nan": _("A value is not a number"),
    "stalled": _("A run reports nothing any more"),
    "worker": _("A job's worker is gone"),
}
STATES = (JobState.RUNNING, JobState.COMPLETED, JobState.FAILED, JobState.LOST, JobState.CANCELLED)
MAX_REPORTS, MAX_MINUTES = 10_000, 10_080


def condition_clean(kind: str, raw: dict[str, Any]) -> dict[str, Any]:
    """The condition with nothing but what its kind has. Raises ValidationError with a message per key."""
    if kind not in KINDS:
        raise ValidationError({"kind": gettext("A rule is one of %(kinds)s.") % {"kinds": ", ".join(KINDS)}})
    if kind == "state":
        states = [str(one) for one in raw.get("states") or []]
        if not states or not set(states) <= set(STATES):
            raise ValidationError({"states": gettext("Choose some of %(states)s.") % {"states": ", ".join(STATES)}})
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
        errors["metric"] = gettext("Name a metric, or a pattern such as val/*.")
    if side not in ("above", "below"):
        errors["side"] = gettext("It is above or below.")
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not math.isfinite(threshold):
        errors["threshold"] = gettext("A threshold is a number.")
    if errors:
        raise ValidationError(errors)
    return {"metric": metric, "side": side, "threshold": threshold, "reports": _whole(raw, "reports", 1, MAX_REPORTS)}


def _whole(raw: dict[str, Any], name: str, usual: int, most: int) -> int:
    value = raw.get(name)
    if value is None:
        return usual
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise ValidationError({name: gettext("A whole number from 1 to %(most)s.") % {"most": f"{most:,}"}})
    return value


def condition_said(kind: str, condition: dict[str, Any]) -> str:
    """The condition in words."""
    if kind == "state":
        states = gettext(" or ").join(JobState(one).label.lower() for one in condition["states"])
        return gettext("a job becomes %(states)s") % {"states": states}
    if kind == "metric":
        return _threshold_said(condition)
    if kind == "stalled":
        return gettext("a running job reports no metrics for %(minutes)s min") % condition
    said = str(KINDS[kind])
    return said[:1].lower() + said[1:]


def _threshold_said(condition: dict[str, Any]) -> str:
    said = {**condition, "threshold": f"{condition['threshold']:g}"}
    if condition["side"] == "above":
        once = gettext("%(metric)s is above %(threshold)s")
        often = gettext("%(metric)s is above %(threshold)s in %(reports)s reports in a row")
    else:
        once = gettext("%(metric)s is below %(threshold)s")
        often = gettext("%(metric)s is below %(threshold)s in %(reports)s reports in a row")
    return (often if condition["reports"] > 1 else once) % said


def event_meets(kind: str, condition: dict[str, Any], event: dict[str, Any]) -> str:
    """The title of the alert that an event of the journal means under a rule; empty if none."""
    told, to = event.get("type"), str(event.get("to") or "")
    if kind == "state" and told == "state" and to in condition["states"]:
        return str(JobState(to).label)
    if kind == "nan" and told == "nan":
        return str(event.get("title") or "A value is not a number")
    if kind == "worker" and told == "state" and to == JobState.LOST and event.get("by") == "reaper":
        return "Its worker is gone"
    return ""


def metric_meets(condition: dict[str, Any], name: str) -> bool:
    """Whether a rule is about this metric."""
    return name == condition["metric"] or fnmatchcase(name, condition["metric"])
