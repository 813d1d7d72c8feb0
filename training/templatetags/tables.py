"""What the table of jobs and its questions need in templates."""

import re
from collections.abc import Sequence
from typing import Any

from django import template
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from training.jobs.bulk import Bulk
from training.jobs.table_query import Column
from training.models import DiskUse
from training.templatetags.pages import figure, plain, setting

register = template.Library()
SHOWN = 60  # characters of a setting in a table
LABELS = {
    Bulk.CANCEL: _("Cancel"),
    Bulk.TAG: _("Tag"),
    Bulk.UNTAG: _("Untag"),
    Bulk.ARCHIVE: _("Archive"),
    Bulk.UNARCHIVE: _("Take out of the archive"),
    Bulk.DELETE: _("Delete"),
    Bulk.UNDELETE: _("Bring back"),
}
QUESTIONS = {
    Bulk.CANCEL: (_("Cancel this job?"), _("Cancel these %(count)s jobs?")),
    Bulk.TAG: (_("Tag this job?"), _("Tag these %(count)s jobs?")),
    Bulk.UNTAG: (_("Untag this job?"), _("Untag these %(count)s jobs?")),
    Bulk.ARCHIVE: (_("Archive this job?"), _("Archive these %(count)s jobs?")),
    Bulk.UNARCHIVE: (_("Take out of the archive this job?"), _("Take out of the archive these %(count)s jobs?")),
    Bulk.DELETE: (_("Delete this job?"), _("Delete these %(count)s jobs?")),
    Bulk.UNDELETE: (_("Bring back this job?"), _("Bring back these %(count)s jobs?")),
}
PROMISES = {
    Bulk.CANCEL: _("Waiting jobs end at once; the trainer of a running one saves its last checkpoint first."),
    Bulk.TAG: _("Tags that a job has already stay."),
    Bulk.UNTAG: _("Other tags of these jobs stay."),
    Bulk.ARCHIVE: _("They are left out of lists that do not ask for archived jobs. Nothing is lost."),
    Bulk.DELETE: _("They can be brought back for some days; then they are removed with their checkpoints."),
}


@register.filter
def shown(value: Any) -> str:
    """A metric's or setting's value for a cell."""
    if value is None:
        return "–"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return figure(value)
    text = plain(setting(value))
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


@register.filter
def at(items: Sequence[Any], index: int) -> Any:
    return items[index]


@register.filter
def column_name(column: Column) -> str:
    return plain(column.name)


@register.filter
def with_chosen(names: Sequence[str], chosen: str) -> list[str]:
    """The names, and what is chosen though it is not among them."""
    return [*names, *([chosen] if chosen and chosen not in names else [])]


@register.filter
def undo_ids(tags: str | None) -> list[int]:
    """The jobs in `undo 12 13`, which a message about a deletion carries; none of any other."""
    match = re.fullmatch(r"undo((?: [0-9]+)+)", tags or "")
    return [int(number) for number in match[1].split()] if match else []


@register.filter
def bulk_label(verb: Bulk) -> str:
    return str(LABELS[verb])


@register.filter
def bulk_question(verb: Bulk, jobs: Sequence[Any]) -> str:
    """The question before something is done to many jobs."""
    if not jobs:
        return gettext("None of the chosen jobs can be changed so")
    one, many = QUESTIONS[verb]
    return str(one) if len(jobs) == 1 else many % {"count": len(jobs)}


@register.filter
def bulk_promise(verb: Bulk) -> str:
    return str(PROMISES.get(verb, ""))


@register.filter
def bulk_tone(verb: Bulk) -> str:
    return "danger" if verb in (Bulk.CANCEL, Bulk.DELETE) else ""


@register.filter
def first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


@register.filter
def disk_taken(use: DiskUse) -> int:
    """Bytes of the whole disk that are taken, by whomever."""
    return (use.total or 0) - (use.free or 0)


@register.filter
def disk_high(use: DiskUse) -> int:
    """From here on a disk is nearly full."""
    return int(0.9 * (use.total or 0))
