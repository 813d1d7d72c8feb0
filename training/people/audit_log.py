"""Reading the audit log: what happened in an organization, and what its members did with their accounts."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from training.models import AuditEntry, Organization
from training.models.audit import AuditQuerySet

NEWEST = 1000


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """What is wanted of the log; empty means everything."""

    who: str = ""
    action: str = ""
    object_type: str = ""
    object_id: str = ""
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None


def audit_entries(organization: Organization, wanted: AuditFilter) -> AuditQuerySet:
    """The organization's entries, newest first. The caller has checked the right to see them."""
    exact = {
        "who": wanted.who,
        "object_type": wanted.object_type,
        "object_id": wanted.object_id,
        "object_name__icontains": wanted.text,
        "time__gte": wanted.since,
        "time__lt": wanted.until,
    }
    rows: AuditQuerySet = AuditEntry.objects.filter(organization=organization)
    rows = rows.filter(**{name: value for name, value in exact.items() if value})
    if wanted.action:  # a whole action, or all of a noun
        rows = rows.filter(Q(action=wanted.action) | Q(action__startswith=f"{wanted.action}."))
    return rows.order_by("-id")


def audit_every(organization: Organization, wanted: AuditFilter, some: int = 1000) -> Iterator[AuditEntry]:
    """All of them, newest first, read bit by bit: no cursor of the database stays open while somebody downloads."""
    rows = audit_entries(organization, wanted)
    found = list(rows[:some])
    while found:
        yield from found
        found = list(rows.filter(pk__lt=found[-1].pk)[:some])


def audit_actions(organization: Organization) -> list[str]:
    """The actions among its newest entries, to be offered; reading them all would take longer than the page."""
    return sorted(set(audit_entries(organization, AuditFilter()).values_list("action", flat=True)[:NEWEST]))
