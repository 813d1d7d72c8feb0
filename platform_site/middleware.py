"""Small middlewares: the trainers' short way in, request ids, and the content security policy."""

import re
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any
from uuid import uuid4

from django.http import HttpRequest, HttpResponseBase
from django.urls import resolve
from django.utils.decorators import sync_and_async_middleware

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; "
    "frame-ancestors 'none'; base-uri 'self'; form-action 'self'; object-src 'none'"
)


@sync_and_async_middleware
def trainers_first(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Call a trainer's door, or a signed address, at once: past sessions, cookies and messages.

    Their token is their right, they have no session, and they call thousands of
    times a minute; each middleware in between would cost them a thread hop.
    """
    if not iscoroutinefunction(get_response):
        return get_response

    async def middleware(request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        if path.startswith("/storage/") or (path.startswith("/api/v1/training/jobs/") and "/callback/" in path):
            match = resolve(path)
            return await match.func(request, *match.args, **match.kwargs)
        return await get_response(request)

    return middleware


@sync_and_async_middleware
def request_ids(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Give every request an id, in META and the answer's X-Request-ID; the caller's own if it is plain."""

    def begin(request: HttpRequest) -> str:
        told = request.headers.get("X-Request-ID", "")
        name: str = told if REQUEST_ID.fullmatch(told) else uuid4().hex
        request.META["REQUEST_ID"] = name
        return name

    if iscoroutinefunction(get_response):

        async def middleware(request: HttpRequest) -> HttpResponseBase:
            name = begin(request)
            response: HttpResponseBase = await get_response(request)
            response.headers["X-Request-ID"] = name
            return response

        return middleware

    def plain(request: HttpRequest) -> HttpResponseBase:
        name = begin(request)
        response: HttpResponseBase = get_response(request)
        response.headers["X-Request-ID"] = name
        return response

    return plain


@sync_and_async_middleware
def content_security_policy(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Pages run only scripts and styles of this site, so text from a run stays text."""

    def protect(response: HttpResponseBase) -> HttpResponseBase:
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response

    if iscoroutinefunction(get_response):

        async def middleware(request: HttpRequest) -> HttpResponseBase:
            return protect(await get_response(request))

        return middleware
    return lambda request: protect(get_response(request))
