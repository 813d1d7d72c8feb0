"""The reports' short way in: from the server straight to the journal, past Django's handling of requests.

Django starts a thread for each request and hops into it three times (its two
signals, and the closing of the response), which took most of the time of a
report. Reports need none of it: they open no session, and the journal has one
database connection of its own. All other calls, and whatever does not look
exactly like a report, take the ordinary way; both ways end in the same code.
"""

import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpResponse

from training.api import callbacks
from training.api.doors import refusal

logger = logging.getLogger(__name__)
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]
REPORT = re.compile(r"/api/v1/training/jobs/([0-9]{1,18})/callback/(progress|log)")
CALLS = {"progress": callbacks.progress, "log": callbacks.log}


class Disconnected(Exception):
    """The trainer went away before its report had arrived whole."""


def reports_first(application: Application) -> Application:
    """`application`, but for reports, which are answered here."""

    async def serve(scope: Message, receive: Receive, send: Send) -> None:
        found = scope["type"] == "http" and scope["method"] == "POST" and REPORT.fullmatch(scope["path"])
        if found:
            await _report(int(found[1]), found[2], scope, receive, send)
        else:
            await application(scope, receive, send)

    return serve


async def _report(job_id: int, name: str, scope: Message, receive: Receive, send: Send) -> None:
    async def read(most_bytes: int) -> bytes:
        return await _body(receive, most_bytes)

    try:
        response = await CALLS[name].answered(job_id, _authorization(scope), read)
    except Disconnected:
        return
    except Exception:
        logger.exception("A report could not be taken")
        response = refusal(500, "internal_error")
    await _send(response, send)


def _authorization(scope: Message) -> str:
    values = [value for name, value in scope["headers"] if name == b"authorization"]
    return values[0].decode("latin-1") if len(values) == 1 else ""


async def _body(receive: Receive, most_bytes: int) -> bytes:
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message.get("more_body", False)
        if size > most_bytes:
            raise RequestDataTooBig
    return b"".join(parts)


async def _send(response: HttpResponse, send: Send) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.items()]
    headers.append((b"Content-Length", str(len(response.content)).encode()))
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": response.content})
