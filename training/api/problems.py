"""What people's programs are told when something can't be done: one form for all errors (RFC 9457)."""

import logging
from collections.abc import Callable
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation, ValidationError
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from ninja import NinjaAPI
from ninja.errors import HttpError
from ninja.errors import ValidationError as Unreadable

from training.jobs.series import strict_dumps
from training.jobs.transition import NotAllowed
from training.people.limits import TooMany
from training.storage.store import StoreAway

logger = logging.getLogger(__name__)
PROBLEM = "application/problem+json"
TITLES = {
    400: "That request can't be read",
    401: "Not signed in",
    403: "Not allowed",
    404: "Nothing here",
    405: "Not that method",
    409: "Not possible now",
    412: "Somebody else changed it",
    413: "Too large",
    415: "Not that kind of body",
    422: "Some fields won't do",
    429: "Too many calls",
    500: "Something broke on our side",
    503: "Away for a moment",
}
BODIES = ("body", "form", "file")  # where pydantic's complaints are from
UNPARSED = "Cannot parse request body"  # what django-ninja says
RETRY_SECONDS = 2


class FieldProblem(Exception):
    """One parameter of the request's address or headers won't do."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Refusal(Exception):
    """The call is refused with this status, and a sentence for the person."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def problem(request: HttpRequest, status: int, detail: str, errors: list[dict[str, str]] | None = None) -> HttpResponse:
    """The answer to a request that failed; `errors` names the fields that were wrong."""
    said: dict[str, Any] = {"type": "about:blank", "title": TITLES.get(status, "Refused"), "status": status}
    said |= {"detail": detail, "request_id": request.META.get("REQUEST_ID", "")}
    if errors is not None:
        said["errors"] = errors
    response = HttpResponse(strict_dumps(said), status=status, content_type=PROBLEM)
    if status == 401:
        response["WWW-Authenticate"] = "Bearer"
    if status == 503:
        response["Retry-After"] = str(RETRY_SECONDS)
    response["Cache-Control"] = "no-store"
    return response


def problems_register(api: NinjaAPI) -> None:
    """Let every exception that a view may raise be answered as a problem."""
    answers: dict[Any, Callable[[HttpRequest, Any], HttpResponse]] = {
        Http404: lambda request, error: problem(request, 404, "There is no such thing here."),
        PermissionDenied: lambda request, error: problem(request, 403, str(error)),
        NotAllowed: lambda request, error: problem(request, 409, str(error)),
        Refusal: lambda request, error: problem(request, error.status, str(error)),
        RequestDataTooBig: lambda request, error: problem(request, 413, "The request is too large."),
        MultiPartParserError: lambda request, error: problem(request, 400, "The form can't be read."),
        SuspiciousOperation: lambda request, error: problem(request, 400, "The request can't be read."),
        FieldProblem: lambda request, error: _wrong(request, 400, [(error.field, str(error))]),
        Unreadable: _unreadable,
        ValidationError: lambda request, error: _wrong(request, 422, _fields(error)),
        TooMany: _too_many,
        HttpError: _http_error,
        OperationalError: _away,
        InterfaceError: _away,
        StoreAway: _store_away,
        Exception: _broken,
    }
    for kind, answer in answers.items():
        api.add_exception_handler(kind, answer)


def _unreadable(request: HttpRequest, error: Unreadable) -> HttpResponse:
    """What pydantic refused: 422 for the fields of a body, 400 for an address or a header."""
    of_body = all(str(one["loc"][0]) in BODIES for one in error.errors)
    return _wrong(request, 422 if of_body else 400, map(_place, error.errors))


def _wrong(request: HttpRequest, status: int, fields: Any) -> HttpResponse:
    errors = [{"field": field, "message": message} for field, message in fields]
    return problem(request, status, "; ".join(f"{e['field']}: {e['message']}" for e in errors)[:1000], errors)


def _place(error: dict[str, Any]) -> tuple[str, str]:
    """(`config.epochs`, what is wrong) of a complaint of pydantic, without the names of our own parameters."""
    where, *rest = [str(part) for part in error["loc"]]
    return ".".join(rest[1:] or rest or [where]), str(error["msg"])


def _fields(error: ValidationError) -> list[tuple[str, str]]:
    found = error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
    return [(field, " ".join(messages)) for field, messages in found.items()]


def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    detail = (
        "The body must be JSON, without NaN, NUL characters and lone surrogates."
        if str(error).startswith(UNPARSED)
        else ""
    )
    if error.status_code == 401:
        detail = "Sign in, or send an API key: Authorization: Bearer vtk_…"
    return problem(request, error.status_code, detail or str(error))


def _too_many(request: HttpRequest, error: TooMany) -> HttpResponse:
    response = problem(request, 429, str(error))
    response["Retry-After"] = str(error.seconds)
    return response


def _away(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.warning("The database is away: %s", error)
    return problem(request, 503, "Try again in a moment.")


def _store_away(request: HttpRequest, error: StoreAway) -> HttpResponse:
    logger.warning("A call needed a store that is away: %s", error)
    return problem(request, 503, "The store of the files does not answer. Try again in a moment.")


def _broken(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.error("A request of the API broke: %s", request.path, exc_info=error)
    return problem(request, 500, "The error has been logged under the request's id.")
