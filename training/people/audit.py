"""Writing the audit log: one call in the transaction of each change that a person makes."""

import math
import re
from collections.abc import Mapping
from typing import Any

from django.db.models import Model

from training.models import AuditEntry, Organization, User
from training.people.origin import origin
from training.people.roles import organization_of

SECRET = re.compile(r"password|secret|token|digest|credential|cookie|authorization|api_?key", re.IGNORECASE)
HIDDEN = "(hidden)"
TEXT_LENGTH = 2000


def audit(
    action: str,
    what: Model | None = None,
    *,
    by: User | None = None,
    organization: Organization | int | None = None,
    old: Mapping[str, Any] | None = None,
    new: Mapping[str, Any] | None = None,
    name: str = "",
) -> None:
    """Write down that somebody did `action` ("job.cancel") to `what`; call it inside the change's own transaction.

    Who, from where and by which key or program is found from the present
    request; `by` is for services that are told their user. The organization is
    the object's own unless told; what concerns an account is told to each that
    its owner belongs to. Fields that are called like a secret are hidden.
    """
    here = origin()
    user = by or here.user
    facts: dict[str, Any] = {
        "user": user,
        "who": (user.get_username() if user else here.by)[:200],
        "by": here.by,
        "action": action,
        "object_type": action.partition(".")[0] if what is not None else "",
        "object_id": str(what.pk) if what is not None else "",
        "object_name": _text(name or (str(what) if what is not None else ""))[:200],
        "old": _values(old),
        "new": _values(new),
        "address": here.address,
        "request_id": here.request_id,
    }
    for organization_id in _organizations(what, organization):
        AuditEntry.objects.create(organization_id=organization_id, **facts)


def audit_changes(action: str, what: Model, old: Mapping[str, Any], new: Mapping[str, Any], **more: Any) -> None:
    """`audit` with only those values that differ; nothing is written where none does."""
    changed = [name for name in new if old.get(name) != new[name]]
    if changed:
        audit(action, what, old={n: old.get(n) for n in changed}, new={n: new[n] for n in changed}, **more)


def _organizations(what: Model | None, told: Organization | int | None) -> list[int | None]:
    """Whose log it belongs into; that of none, for superusers only, where there is no organization."""
    if told is not None:
        return [told if isinstance(told, int) else told.pk]
    if isinstance(what, User):
        return list(what.memberships.order_by("id").values_list("organization_id", flat=True)) or [None]
    if isinstance(what, Organization) or hasattr(what, "organization_path"):
        return [organization_of(what)]
    return [None]


def _values(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if values is None else {_text(str(name)): _value(str(name), value) for name, value in values.items()}


def _value(name: str, value: Any) -> Any:
    """What JSON can hold on every database, without secrets."""
    if SECRET.search(name):
        return HIDDEN
    if isinstance(value, Mapping):
        return _values(value)
    if isinstance(value, list | tuple | set):
        return [_value(name, item) for item in value]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return _text(str(value))


def _text(text: str) -> str:
    return text.replace("\x00", "�").encode("utf-8", "replace").decode()[:TEXT_LENGTH]
