"""Daphne, with bodies bounded while they are read, answers sent no faster than they are taken, and an end that drains.

Daphne holds a whole body in memory before any view runs. So the limit stands
here: a body that says, or turns out, to be larger is answered 413 at once, the
rest of it is read and thrown away for a moment, and the connection is closed.

Daphne also takes all that a view streams, however slowly the client reads: a
300 MB download to a stalled client cost 300 MB. Here the view waits.
"""

import asyncio
import gc
import json
from typing import Any
from uuid import uuid4

from daphne.http_protocol import HTTPFactory, WebRequest
from daphne.server import Server
from django.conf import settings
from twisted.internet import reactor

from platform_site.draining import ClosingFactory, Draining

COLLECT_EVERY = 10_000  # objects more than are freed, before cycles are looked for
DISCARD_SECONDS = 5.0  # how long the sender has to read the answer before the connection is cut


class Flow:
    """Hears from the transport when its buffer is full and when there is room (Twisted's IPushProducer)."""

    def __init__(self) -> None:
        self.room = asyncio.Event()
        self.room.set()

    def pauseProducing(self) -> None:
        self.room.clear()

    def resumeProducing(self) -> None:
        self.room.set()

    def stopProducing(self) -> None:
        self.room.set()


class BoundedRequest(WebRequest):
    refused = False
    received = 0
    flow: Flow | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Twisted would read every form and every Content-Type once more, for nobody
        super().__init__(*args, **kwargs, parsePOSTFormSubmission=False)

    def stream_open(self) -> None:
        """More of this answer will come: listen to the transport."""
        if self.flow is None:
            self.flow = Flow()
            self.registerProducer(self.flow, True)

    def stream_close(self) -> None:
        if self.flow is not None:
            self.flow = None
            self.unregisterProducer()

    def gotLength(self, length: int | None) -> None:
        self._begun()
        if length is not None and length > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            super().gotLength(0)
            self._refuse()
        else:
            super().gotLength(length)

    def handleContentChunk(self, data: bytes) -> None:
        self.received += len(data)
        if not self.refused and self.received > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            self._refuse()
        if not self.refused:
            super().handleContentChunk(data)

    def process(self) -> Any:
        if self.refused:
            self.channel.loseConnection()
            return None
        if self.draining and self.channel is not None:
            self.channel.persistent = 0  # the last answer on this connection
        return super().process()

    def _begun(self) -> None:
        """Its headers are here: from now on it is in flight, until it is answered or its connection is lost."""
        if not self.requestHeaders.hasHeader(b"Upgrade"):  # sockets are counted apart
            self.server.requests.add(self)
            self.notifyFinish().addBoth(lambda _: self.server.requests.discard(self))

    @property
    def draining(self) -> bool:
        return self.server.draining.began is not None

    def _refuse(self) -> None:
        self.refused = True
        self.content.truncate(0)
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        name = uuid4().hex
        told = {"type": "about:blank", "title": "Too large", "status": 413, "request_id": name}
        # both forms of errors in one: people's (problem+json) and the trainers' (`error`)
        told |= {"error": "too_large", "detail": f"At most {limit} bytes are taken."}
        body = json.dumps(told).encode()
        head = (
            b"HTTP/1.1 413 Content Too Large\r\nContent-Type: application/problem+json\r\nConnection: close\r\n"
            b"X-Request-ID: %s\r\nContent-Length: %d\r\n\r\n" % (name.encode(), len(body))
        )
        self.channel.transport.write(head + body)
        reactor.callLater(DISCARD_SECONDS, self.channel.loseConnection)  # type: ignore[arg-type]


class BoundedFactory(HTTPFactory):
    def buildProtocol(self, addr: Any) -> Any:
        protocol = super().buildProtocol(addr)
        protocol.requestFactory = BoundedRequest
        return protocol


class PlatformServer(Server):
    """Daphne's server with our requests and our end; everything else is Daphne's own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.requests: set[BoundedRequest] = set()
        self.ports: list[Any] = []
        self.draining = Draining(self, settings.WEB_DRAIN_SECONDS)

    def listen_success(self, port: Any) -> None:
        self.ports.append(port)
        super().listen_success(port)

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        body = isinstance(protocol, BoundedRequest) and message["type"] == "http.response.body"
        if body and protocol in self.connections and not self.connections[protocol].get("disconnected"):
            if message.get("more_body"):
                protocol.stream_open()
            else:
                protocol.stream_close()
        await super().handle_reply(protocol, message)
        if body and (flow := protocol.flow) is not None:
            await flow.room.wait()

    def run(self) -> None:
        import daphne.server

        daphne.server.HTTPFactory = BoundedFactory
        daphne.server.WebSocketFactory = ClosingFactory
        reactor.callWhenRunning(self.draining.listen)
        super().run()


def collector_settle() -> None:
    """Look for cycles rarely, and not among what is loaded by now: it stays as long as the process.

    A batch of reports is some thousand short-lived objects. They made the
    collector look through all of Django several times a second, for 0.1 s each.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY, 10, 10)


def serve(host: str, port: int) -> None:
    """Serve the site on one address until SIGTERM or SIGINT, and then finish what has begun."""
    from observability.traffic import requests_counted
    from platform_site.asgi import application
    from training.api.shortcut import reports_first

    collector_settle()
    PlatformServer(
        requests_counted(reports_first(application)),
        endpoints=[f"tcp:port={port}:interface={host}"],
        server_name="vision-platform",
        verbosity=0,
        websocket_timeout=-1,
        http_timeout=120,
        request_buffer_size=64 * 1024,
    ).run()
