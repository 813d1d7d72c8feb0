"""Counts the web server's requests by kind and status, and how long the trainers' ones take."""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from observability.tallies import tallies

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]
KINDS = (("/api/", "api"), ("/static/", "static"), ("/admin/", "admin"))
PROBES = ("/healthz", "/readyz", "/metrics")


def requests_counted(application: Application) -> Application:
    """`application`, with each of its HTTP requests counted once it is answered."""

    async def serve(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        kind, status, begun = kind_of(scope["path"]), "none", time.perf_counter()

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await application(scope, receive, seen)
        finally:
            tallies.add("platform_requests", kind, status)
            if kind == "callback":
                tallies.observe("platform_callback_seconds", seconds=time.perf_counter() - begun)

    tallies.flush_always()
    return serve


def kind_of(path: str) -> str:
    """The class of a route: as many as people can tell apart on a chart, however many addresses there are."""
    if path in PROBES:
        return "probe"
    if path.startswith("/api/") and "/callback/" in path:
        return "callback"
    return next((kind for prefix, kind in KINDS if path.startswith(prefix)), "page")
