"""The edge of the REST API: whatever refuses a call below /api/, its answer has the form of all errors."""

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from training.api.problems import PROBLEM, problem

SENTENCES = {
    400: "The request can't be read.",
    403: "Send the page's CSRF token as X-CSRFToken, or an API key in place of the session.",
    404: "There is no such address. All of them are listed in /api/docs.",
    413: "The request is too large.",
}
KEPT_HEADERS = ("Allow", "Retry-After", "Content-Security-Policy", "Set-Cookie")


@sync_and_async_middleware
def problems_only(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Answer unknown addresses, wrong methods and all that fails before an operation as problems.

    The trainers' door has a form of its own (docs/trainer-protocol.md).
    """
    if iscoroutinefunction(get_response):

        async def middleware(request: HttpRequest) -> HttpResponseBase:
            return _as_problem(request, await get_response(request))

        return middleware
    return lambda request: _as_problem(request, get_response(request))


def _as_problem(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    path = request.path_info
    ours = path.startswith("/api/") and "/callback/" not in path
    if not ours or response.status_code < 400 or response.headers.get("Content-Type") == PROBLEM:
        return response
    made = problem(request, response.status_code, _sentence(request, response))
    for name in KEPT_HEADERS:
        if name in response.headers:
            made[name] = response.headers[name]
    made.cookies = response.cookies
    return made


def _sentence(request: HttpRequest, response: HttpResponseBase) -> str:
    if response.status_code == 405:
        return f"{request.method} is not possible here; possible is: {response.headers.get('Allow', 'nothing')}."
    return SENTENCES.get(response.status_code, "The request was refused.")
