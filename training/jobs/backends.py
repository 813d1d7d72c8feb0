"""Which tracking tools hear of a job. The names are those of the settings; what is behind them is not known here."""

from collections.abc import Mapping, Sequence

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext

_labels: dict[str, str] = {}


def backends_chosen(chosen: Sequence[str] | None) -> list[str]:
    """The backends of a job, the database always among them; all that are configured where nothing was chosen.

    Raises ValidationError that lists the configured ones.
    """
    configured = settings.OBSERVABILITY_BACKENDS
    wanted = dict.fromkeys(["database", *(configured if chosen is None else chosen)])
    if unknown := [name for name in wanted if name not in configured]:
        message = gettext("%(unknown)s: not configured; configured are %(configured)s.") % {
            "unknown": ", ".join(unknown)[:200],
            "configured": ", ".join(configured),
        }
        raise ValidationError({"observability_backends": message})
    return list(wanted)


def backends_still(chosen: Sequence[str]) -> list[str]:
    """Those of another job's backends that are still configured."""
    return [name for name in chosen if name in settings.OBSERVABILITY_BACKENDS]


def backends_label(labels: Mapping[str, str]) -> None:
    """What people call the backends; told at the start by who knows what is behind the names."""
    _labels.update(labels)


def backend_label(name: str) -> str:
    return _labels.get(name, name)
