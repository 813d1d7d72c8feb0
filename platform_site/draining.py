"""A web process that is asked to end: it takes no new connections, finishes what it has begun, and says to come back.

Daphne alone ends at once and cuts what is in flight: an upload, or a report that is committed but not answered yet.
"""

import signal
import time
from typing import TYPE_CHECKING, Any

from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from twisted.internet import reactor as the_reactor

if TYPE_CHECKING:
    from platform_site.server import PlatformServer

COME_BACK = 1012  # service restart: browsers connect again after it
LOOK_SECONDS = 0.05
CLOSE_SECONDS = 2.0  # for browsers to answer the close
reactor: Any = the_reactor


class ClosingProtocol(WebSocketProtocol):
    """Sends every code of RFC 6455 and its registry; the library sends 1000 and those from 3000 alone."""

    def serverClose(self, code: int | None = None) -> None:
        self.sendCloseFrame(code=1000 if code is None else code, reasonUtf8=None, isReply=False)


class ClosingFactory(WebSocketFactory):
    protocol = ClosingProtocol


class Draining:
    """What SIGTERM and SIGINT begin; a second one ends the process at once."""

    def __init__(self, server: "PlatformServer", seconds: float) -> None:
        self._server, self._seconds = server, seconds
        self.began: float | None = None

    def listen(self) -> None:
        """Take the signals over from the reactor, which runs already."""
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: reactor.callFromThread(self.begin))

    def begin(self) -> None:
        """Close the door and the sockets, and end once nothing is in flight or the time is over."""
        if self.began is not None:
            reactor.stop()
            return
        self.began = time.monotonic()
        for port in self._server.ports:
            port.stopListening()
        for socket in self._sockets():
            if socket.state == socket.STATE_OPEN:
                socket.serverClose(COME_BACK)
        self._look()

    def _look(self) -> None:
        assert self.began is not None
        elapsed = time.monotonic() - self.began
        waiting = bool(self._server.requests) or (bool(self._sockets()) and elapsed < CLOSE_SECONDS)
        if waiting and elapsed < self._seconds:
            reactor.callLater(LOOK_SECONDS, self._look)
        else:
            reactor.stop()

    def _sockets(self) -> list[ClosingProtocol]:
        open_ones = [one for one, about in self._server.connections.items() if not about.get("disconnected")]
        return [one for one in open_ones if isinstance(one, ClosingProtocol) and one.state != one.STATE_CLOSED]
