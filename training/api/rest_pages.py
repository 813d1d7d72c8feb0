"""Lists of the REST API in pages, and changes on condition: opaque signed cursors, links, and tags of versions."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, Self

from django.core import signing
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from ninja import Schema
from pydantic import Field, PrivateAttr, ValidationInfo, model_validator

from training.api.problems import FieldProblem, Refusal
from training.people.keys import Caller

Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
Text = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")]
Archived = Annotated[
    Literal["false", "true", "all"],
    Field(description="`true`: what is archived, and nothing else; `all`: both. As a rule it is left out."),
]
OLDER, NEWER = "o", "n"
signer = signing.Signer(salt="training.api.cursor")


class PageQuery(Schema):
    cursor: Annotated[str, Field(max_length=200, description="From a link of another page; opaque.")] = ""
    limit: Annotated[int, Field(ge=1, le=100, description="How many items a page has at most.")] = 50
    _request: HttpRequest | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _keep_request(self, info: ValidationInfo) -> Self:
        """The links of a page repeat the address of this one."""
        self._request = (info.context or {}).get("request")
        return self

    def link(self, way: str, pk: int) -> str:
        """The address of the page that begins past `pk`, relative to the site."""
        cursor = _cursor(way, pk)
        if self._request is None:
            return f"?cursor={cursor}"
        query = self._request.GET.copy()
        query["cursor"] = cursor
        return f"{self._request.path}?{query.urlencode()}"


class Page(Schema):
    """What every list has beside its `items`."""

    next: Annotated[str | None, Field(description="The address of the next page; null on the last one.")] = None
    previous: Annotated[str | None, Field(description="The address of the page before; null on the first one.")] = None


def caller_of(request: HttpRequest) -> Caller:
    """Who calls; every operation has been through the authentication."""
    caller = request.auth  # type: ignore[attr-defined]
    assert isinstance(caller, Caller)
    return caller


def only_known(request: HttpRequest, schema: type[Schema]) -> None:
    """Refuse parameters that the schema does not have. The frame does so for every operation, by its signature."""
    for name in request.GET:
        if name not in schema.model_fields:
            raise FieldProblem(name[:80], f"unknown; there are: {', '.join(schema.model_fields)}")


def page_answer(rows: QuerySet[Any], wanted: PageQuery) -> dict[str, Any]:
    """{"items", "next", "previous"}: one page of rows, newest first, and the addresses of those beside it."""
    way, pk = _place(wanted.cursor) if wanted.cursor else (OLDER, None)
    if way == NEWER:
        found = list(rows.filter(pk__gt=pk).order_by("pk")[: wanted.limit + 1])
        items, older, newer = found[: wanted.limit][::-1], True, len(found) > wanted.limit
    else:
        rows = rows if pk is None else rows.filter(pk__lt=pk)
        found = list(rows.order_by("-pk")[: wanted.limit + 1])
        items, older, newer = found[: wanted.limit], len(found) > wanted.limit, pk is not None
    last, first = (items[-1].pk, items[0].pk) if items else (pk or 0, pk or 0)
    return {
        "items": items,
        "next": wanted.link(OLDER, last) if older else None,
        "previous": wanted.link(NEWER, first) if newer else None,
    }


def with_archived(rows: QuerySet[Any], archived: Archived) -> QuerySet[Any]:
    """Of these rows those that are archived, or those that are not, or all, as the caller asks."""
    return rows if archived == "all" else rows.filter(archived_at__isnull=archived == "false")


def page_of(rows: QuerySet[Any], wanted: PageQuery) -> tuple[list[Any], str | None]:
    """The items of `page_answer`, and the address of the next page if there is one."""
    page = page_answer(rows, wanted)
    return page["items"], page["next"]


def sequence_answer(items: Iterable[Any], number: Callable[[Any], int], wanted: PageQuery) -> dict[str, Any]:
    """`page_answer` for what is no table: items in the order of their numbers, the lowest first."""
    way, place = _place(wanted.cursor) if wanted.cursor else (OLDER, -1)
    ordered = list(items)
    if way == NEWER:
        found = [one for one in ordered if number(one) < place][-wanted.limit - 1 :]
        shown, after, before = found[-wanted.limit :], True, len(found) > wanted.limit
    else:
        found = [one for one in ordered if number(one) > place][: wanted.limit + 1]
        shown, after, before = found[: wanted.limit], len(found) > wanted.limit, bool(wanted.cursor)
    first, last = (number(shown[0]), number(shown[-1])) if shown else (place, place)
    return {
        "items": shown,
        "next": wanted.link(OLDER, last) if after else None,
        "previous": wanted.link(NEWER, first) if before else None,
    }


def one_of(rows: QuerySet[Any], pk: int) -> Any:
    """The row among those that the caller may see; 404 whether it is missing or another organization's."""
    found = rows.filter(pk=pk).first()
    if found is None:
        raise Refusal(404, "There is no such thing here.")
    return found


def version_of(*facts: Any) -> str:
    """The tag of a version of something, by the facts that people edit: for ETag and If-Match."""
    text = json.dumps(facts, default=str, ensure_ascii=True)
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def version_told(response: HttpResponse, version: str) -> None:
    response["ETag"] = version


def version_require(request: HttpRequest, version: str) -> None:
    """412 if the caller's change is meant for another version. Called with the row locked, before it is changed."""
    wanted = request.headers.get("If-Match", "").strip()
    if wanted and wanted != "*" and version not in (tag.strip() for tag in wanted.split(",")):
        raise Refusal(412, "It was changed since you read it. Read it again, then change what is there now.")


def _cursor(way: str, pk: int) -> str:
    return base64.urlsafe_b64encode(signer.sign(f"{way}{pk}").encode()).decode().rstrip("=")


def _place(cursor: str) -> tuple[str, int]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        text = signer.unsign(base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii"))
        return text[0], int(text[1:])
    except (signing.BadSignature, ValueError) as error:
        raise FieldProblem("cursor", "not one of ours") from error
