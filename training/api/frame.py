"""The frame around every operation of the REST API, whoever wrote it.

Before an operation: who calls, how often, with parameters that are known and a
body that can be read, and whether it is a repeat. After it: the answer is kept
for repeats, and headers tell how many calls are left.

django-ninja offers no hook between its authentication and its parsing, so the
operations that it has bound are wrapped here, through two methods of its own
(`_get_bound_routers`, `_run_checks`); the version is pinned.
"""

import functools
import hashlib
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from ninja import NinjaAPI
from ninja.operation import Operation

from training.api.openapi import described
from training.api.problems import FieldProblem, Refusal, problem
from training.people.answers import (
    OtherCall,
    ShownOnce,
    StillAnswering,
    answer_begin,
    answer_forget,
    answer_keep,
)
from training.people.rates import Rate, call_count

BODY_BYTES = 1024 * 1024
KEY = "Idempotency-Key"
KEY_LENGTH = 128
KEPT_BYTES = 1024 * 1024
KEPT_HEADERS = ("Content-Type", "Location", "ETag")
RETRY_SECONDS = 1


class FramedAPI(NinjaAPI):
    """django-ninja's API, with the frame around every operation of every router that is added to it."""

    def _get_bound_routers(self) -> list[Any]:
        fresh = self._bound_routers_cache is None
        routers = super()._get_bound_routers()
        if fresh:
            for router in routers:
                for view in router.path_operations.values():
                    for operation in view.operations:
                        _frame(operation)
        return routers

    def get_openapi_schema(self, **words: Any) -> Any:
        return described(super().get_openapi_schema(**words))


def _frame(operation: Operation) -> None:
    operation._run_checks = functools.partial(_before, operation, operation._run_checks)  # type: ignore[method-assign]
    operation.run = functools.partial(_after, operation.run)  # type: ignore[method-assign]


def _before(
    operation: Operation, check: Callable[[HttpRequest], HttpResponse | None], request: HttpRequest
) -> HttpResponse | None:
    """The answer, where the operation itself must not run."""
    if refused := check(request):
        return refused
    try:
        if refused := _limited(request):
            return refused
        _parameters_known(operation, request)
        _body_readable(operation, request)
        return _repeated(request)
    except Exception as error:
        return operation.api.on_exception(request, error)


def _after(run: Callable[..., HttpResponseBase], request: HttpRequest, **words: Any) -> HttpResponseBase:
    response = run(request, **words)
    if key := getattr(request, "answering", ""):
        _keep(request, key, response)
    if rate := getattr(request, "rate", None):
        _rate_told(response, rate)
    response.headers.setdefault("Cache-Control", "private, no-cache")
    return response


def _limited(request: HttpRequest) -> HttpResponse | None:
    caller = getattr(request, "auth", None)
    rate = call_count(caller) if caller else None
    request.rate = rate  # type: ignore[attr-defined]
    if rate is None or not rate.exceeded:
        return None
    response = problem(request, 429, f"At most {rate.limit} calls a minute; try again in {rate.reset} seconds.")
    response["Retry-After"] = str(rate.reset)
    return response


def _rate_told(response: HttpResponseBase, rate: Rate) -> None:
    response["RateLimit-Limit"] = str(rate.limit)
    response["RateLimit-Remaining"] = str(rate.remaining)
    response["RateLimit-Reset"] = str(rate.reset)


def _parameters_known(operation: Operation, request: HttpRequest) -> None:
    """Refuse what the operation does not have, such as filters that reach through relations."""
    known = parameters_of(operation)
    for name in request.GET:
        if name not in known:
            there = f"there are: {', '.join(known)}" if known else "this call has no parameters"
            raise FieldProblem(name[:80], f"unknown; {there}")


def parameters_of(operation: Operation) -> list[str]:
    """The names that may stand in the address after the question mark."""
    queries = [model for model in operation.models if model.__ninja_param_source__ == "query"]
    return [name for model in queries for name in model.__ninja_flatten_map__]


def _body_readable(operation: Operation, request: HttpRequest) -> None:
    sources = {model.__ninja_param_source__ for model in operation.models}
    if "file" in sources and request.content_type != "multipart/form-data":
        raise Refusal(415, "Send a form, with Content-Type: multipart/form-data.")
    if "body" not in sources or not request.body:
        return
    if len(request.body) > BODY_BYTES:
        raise Refusal(413, f"At most {BODY_BYTES} bytes are taken.")
    if request.content_type != "application/json":
        raise Refusal(415, "Send JSON, with Content-Type: application/json.")


def _repeated(request: HttpRequest) -> HttpResponse | None:
    """The kept answer to a repeated call; remembers on the request that this is the first one."""
    key = request.headers.get(KEY, "")
    if request.method != "POST" or not key:
        return None
    if len(key) > KEY_LENGTH or not (key.isascii() and key.isprintable()):
        raise FieldProblem(KEY, f"at most {KEY_LENGTH} printable ASCII characters")
    try:
        repeat = answer_begin(request.auth.user, key, _fingerprint(request))  # type: ignore[attr-defined]
    except OtherCall:
        raise Refusal(409, f"This {KEY} has been used for another call.") from None
    except ShownOnce:
        raise Refusal(409, "This call was answered already, with what is shown only once.") from None
    except StillAnswering:
        response = problem(request, 409, f"The first call with this {KEY} is still being answered.")
        response["Retry-After"] = str(RETRY_SECONDS)
        return response
    if repeat is None:
        request.answering = key  # type: ignore[attr-defined]
        return None
    return HttpResponse(repeat.body, status=repeat.status, headers={**repeat.headers, "Idempotent-Replayed": "true"})


def _keep(request: HttpRequest, key: str, response: HttpResponseBase) -> None:
    """Only what succeeded is kept: what was refused changed nothing, and may be tried again."""
    user = request.auth.user  # type: ignore[attr-defined]
    if response.status_code >= 400:
        answer_forget(user, key)
        return
    text = None
    shown_once = "no-store" in response.headers.get("Cache-Control", "")
    if isinstance(response, HttpResponse) and not shown_once and len(response.content) <= KEPT_BYTES:
        text = response.content.decode()
    headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    answer_keep(user, key, response.status_code, headers, text)


def _fingerprint(request: HttpRequest) -> str:
    caller = request.auth  # type: ignore[attr-defined]
    asked = f"{caller.organization_id} {request.get_full_path()} {request.content_type}\n".encode("utf-8", "replace")
    return hashlib.sha256(asked + request.body).hexdigest()
