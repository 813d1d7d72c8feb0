"""The audit log of an organization, for its admins: filtered, page by page, and as a table to keep."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET

from training.models import AuditEntry
from training.pages.doors import organization_or_404, person, signed_in
from training.pages.organizations import organization_context
from training.people.audit import audit
from training.people.audit_log import AuditFilter, audit_actions, audit_entries, audit_every
from training.people.roles import Action, require
from training.people.selectors import members_of
from training.tables import csv_download

ROWS = 50
HEADER = ("time", "who", "by", "action", "object_type", "object_id", "object", "old", "new", "address", "request_id")


@require_GET
@signed_in
def audit_page(request: HttpRequest, organization_id: int) -> HttpResponseBase:
    """What happened, newest first; `before` is where the page before ended."""
    organization = organization_or_404(request, organization_id)
    require(person(request), Action.SEE_AUDIT_LOG, organization)
    said, wanted = _wanted(request)
    before = request.GET.get("before", "")
    rows = audit_entries(organization, wanted)
    if before.isascii() and before.isdigit() and len(before) < 19:
        rows = rows.filter(pk__lt=int(before))
    found = list(rows[: ROWS + 1])
    context = organization_context(request, organization) | {
        "entries": [(entry, _changes(entry)) for entry in found[:ROWS]],
        "following": found[ROWS - 1].pk if len(found) > ROWS else None,
        "first": not before,
        "said": said,
        "query": urlencode({name: value for name, value in said.items() if value}),
        "people": list(members_of(organization).values_list("user__username", flat=True)[:500]),
        "actions": audit_actions(organization),
    }
    return render(request, "training/audit_page.html", context)


@require_GET
@signed_in
def audit_csv(request: HttpRequest, organization_id: int) -> HttpResponseBase:
    """What the filter finds, as CSV; that somebody took it is an entry too."""
    organization = organization_or_404(request, organization_id)
    require(person(request), Action.SEE_AUDIT_LOG, organization)
    said, wanted = _wanted(request)
    asked = {name: value for name, value in said.items() if value}
    audit("audit.download", organization, by=person(request), new=asked)
    return csv_download(f"audit-{organization.slug}.csv", HEADER, _lines(audit_every(organization, wanted)))


def _wanted(request: HttpRequest) -> tuple[dict[str, str], AuditFilter]:
    """The filter in the address, as it was said and as it is meant; what makes no sense in it is left out."""
    names = ("who", "action", "object_type", "object_id", "text", "since", "until")
    said = {name: request.GET.get(name, "").strip()[:200].replace("\x00", "") for name in names}
    since, until = _day(said["since"]), _day(said["until"])
    texts = {name: said[name] for name in names[:5]}
    return said, AuditFilter(**texts, since=since, until=until + timedelta(days=1) if until else None)


def _day(text: str) -> datetime | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return datetime(day.year, day.month, day.day, tzinfo=UTC) if 1970 <= day.year < 9999 else None


def _changes(entry: AuditEntry) -> list[tuple[str, Any, Any]]:
    """(name, old, new) of each value that the entry tells of."""
    old, new = entry.old or {}, entry.new or {}
    return [(name, old.get(name), new.get(name)) for name in dict.fromkeys((*old, *new))]


def _lines(rows: Iterator[AuditEntry]) -> Iterator[tuple[object, ...]]:
    for entry in rows:
        what = (entry.object_type, entry.object_id, entry.object_name)
        values = (_json(entry.old), _json(entry.new))
        who = (entry.time.isoformat(), entry.who, entry.by, entry.action)
        yield (*who, *what, *values, entry.address, entry.request_id)


def _json(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False)
