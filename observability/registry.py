"""The adapters that this installation knows, and those that it uses. Read once: it does not change after the start."""

from functools import cache

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from observability.discovery import Found, find

ALWAYS = "database"


@cache
def known() -> dict[str, Found]:
    """Every adapter that was found, by name; broken ones with their error."""
    return find(settings.OBSERVABILITY_ADAPTERS)


@cache
def configured() -> dict[str, Found]:
    """The adapters in use, by name. Raises ImproperlyConfigured for a name that nobody has, listing the known ones."""
    names = dict.fromkeys([ALWAYS, *settings.OBSERVABILITY_BACKENDS])
    unknown = [name for name in names if name not in known()]
    if unknown:
        listed = ", ".join(sorted(known()))
        raise ImproperlyConfigured(
            f"OBSERVABILITY_BACKENDS names {', '.join(unknown)}, which no adapter has; known are: {listed}."
        )
    return {name: known()[name] for name in names}


def label(backend: str) -> str:
    found = known().get(backend)
    return found.label if found else backend


def forget() -> None:
    """Look again; for tests that change the settings."""
    known.cache_clear()
    configured.cache_clear()
