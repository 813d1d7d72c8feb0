"""What is said of an event of the journal."""

from typing import Any

from django.utils.translation import gettext, gettext_noop

from training.said import said
from training.templatetags.text import plain_text

# who moves a job, where it was no person
PARTS = {
    gettext_noop("worker"),
    gettext_noop("trainer"),
    gettext_noop("supervisor"),
    gettext_noop("server"),
    gettext_noop("reaper"),
    gettext_noop("import"),
    gettext_noop("user"),
}


def by_whom(data: dict[str, Any]) -> str:
    """Who did it: a person or a worker by name, or else the part of the platform."""
    part = data.get("by") or ""
    who = data.get("who") or (gettext(part) if part in PARTS else part)
    return gettext("by %(who)s") % {"who": who} if who else ""


def event_title(data: dict[str, Any]) -> str:
    """What happened, in a few words."""
    if data.get("type") == "checkpoint":
        if data.get("epoch") is None:
            return gettext("Checkpoint %(kind)s") % {"kind": data.get("kind", "")}
        return gettext("Checkpoint %(kind)s of epoch %(epoch)s") % {
            "kind": data.get("kind", ""),
            "epoch": data["epoch"],
        }
    if data.get("type") == "artifact":
        return gettext("Picture %(name)s") % {"name": plain_text(str(data.get("name", "")))}
    return said(str(data.get("title") or str(data.get("type") or "event").replace("_", " ").capitalize()))
