"""The part of the job form that says when the job is run, and how much it may take."""

from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext

from training.jobs.document import PRIORITIES
from training.models import Priority, TrainingJob
from training.pages.job_choice import JobChoice
from training.people.roles import Action, allowed

USUAL = "normal"
LIMITS = ("time_limit_hours", "memory_limit_gb")
NAMES = ("priority", *LIMITS)


def limits_fields(choice: JobChoice) -> dict[str, forms.Field]:
    """The fields. `high` is offered to those who may give it; whether a limit is one, `job_create` says."""
    high = allowed(choice.user, Action.USE_HIGH_PRIORITY, choice.organization)
    offered = [name for name in PRIORITIES if high or name != "high"]
    told = gettext("Among the jobs that wait for the same machines.")
    return {
        "priority": forms.ChoiceField(
            required=False,
            initial=USUAL,
            choices=[(name, Priority[name.upper()].label) for name in reversed(offered)],
            help_text=told if high else f"{told} {gettext('High is given by managers.')}",
        ),
        "time_limit_hours": _number(
            gettext("Time limit, hours"), f"{settings.TIME_LIMIT_HOURS:g}", gettext("For one attempt.")
        ),
        "memory_limit_gb": _number(
            gettext("Memory limit, GB"),
            f"{settings.MEMORY_LIMIT_GB:g}" if settings.MEMORY_LIMIT_GB else gettext("none"),
            gettext("Of the trainer and all that it starts; 1 GB is 10⁹ bytes."),
        ),
    }


def limits_of(cleaned: dict[str, Any]) -> dict[str, Any]:
    """What the form says of them, as `job_create` takes it."""
    priority = Priority[(cleaned.get("priority") or USUAL).upper()]
    return {"priority": priority} | {name: cleaned.get(name) for name in LIMITS}


def limits_copied(job: TrainingJob) -> dict[str, str]:
    """Those of a job as the form's values; a high priority was given to that one alone."""
    priority = Priority.NORMAL if job.priority == Priority.HIGH else Priority(job.priority)
    limits = {name: getattr(job, name) for name in LIMITS}
    return {"priority": priority.name.lower()} | {name: f"{limit:g}" for name, limit in limits.items() if limit}


def limits_said(shown: dict[str, str]) -> dict[str, Any]:
    """Those that the form shows and that are not the usual ones, for a document: numbers where they are some."""
    said: dict[str, Any] = {name: _read(shown[name]) for name in LIMITS if shown.get(name)}
    priority = shown.get("priority") or USUAL
    return said if priority == USUAL else {"priority": priority} | said


def _read(text: str) -> float | int | str:
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() else number


def _number(label: str, usual: str, told: str) -> forms.FloatField:
    widget = forms.TextInput({"placeholder": usual, "autocomplete": "off", "inputmode": "decimal"})
    return forms.FloatField(
        required=False,
        label=label,
        widget=widget,
        help_text=f"{told} {gettext('Empty: %(usual)s.') % {'usual': usual}}",
    )
