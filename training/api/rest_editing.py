"""REST: what projects and experiments have in common: found, told with a version, changed under a condition."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from ninja import Schema
from pydantic import Field

from training.api.rest_pages import caller_of, one_of, version_of, version_require, version_told
from training.models import User
from training.people.keys import Caller
from training.people.roles import Action, require

Name = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00]*\S[^\x00]*$", examples=["Bottles"])]
Match = {
    "parameters": [
        {
            "in": "header",
            "name": "If-Match",
            "required": False,
            "schema": {"type": "string", "maxLength": 200},
            "description": "The ETag that you read: 412 if somebody else has changed it since.",
        }
    ]
}


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing that people edit: the rows that one may see, what of a row is edited, and by which services."""

    visible: Callable[[User, int | None], QuerySet[Any]]
    facts: Callable[[Any], dict[str, Any]]
    edit: Callable[..., Any]  # edit(row, *facts, by=user)
    archive: Callable[..., None]  # archive(row, archived, by=user)
    may_edit: Action
    may_archive: Action


def kind_find(kind: Kind, caller: Caller, pk: int) -> Any:
    """The row, if the caller may see it; 404 if there is none."""
    return one_of(kind.visible(caller.user, caller.organization_id), pk)


def kind_get(kind: Kind, request: HttpRequest, response: HttpResponse, pk: int) -> Any:
    """The row, with its version as the answer's ETag."""
    row = kind_find(kind, caller_of(request), pk)
    version_told(response, _version(kind, row))
    return row


def kind_change(kind: Kind, request: HttpRequest, response: HttpResponse, pk: int, body: Schema) -> Any:
    """Change what the body names, unless somebody was faster than the version that the caller has read."""
    caller, told = caller_of(request), body.model_dump(exclude_none=True)
    archived = told.pop("archived", None)
    row = kind_find(kind, caller, pk)
    if told or archived is None:
        require(caller.user, kind.may_edit, row)
    if archived is not None:
        require(caller.user, kind.may_archive, row)
    with transaction.atomic():
        model: type[Model] = type(row)
        locked = model._default_manager.select_for_update().get(pk=pk)
        version_require(request, _version(kind, locked))
        if told:
            kind.edit(locked, *(kind.facts(locked) | told).values(), by=caller.user)
        if archived is not None:
            kind.archive(locked, archived, by=caller.user)
    return kind_get(kind, request, response, pk)


def _version(kind: Kind, row: Any) -> str:
    """Of all that a PATCH changes; notes have a version of their own."""
    return version_of(row.pk, *kind.facts(row).values(), row.archived_at is None)
