"""The program that hands one message to apprise: a process of its own, without secrets, that can be given up.

It reads {address, title, body, private} from its input and writes {ok, error}. Every connection it makes is looked at
when it is made, after names were resolved, so neither a redirect nor a name server leads into a private network.
"""

import ipaddress
import json
import logging
import socket
import sys
from typing import Any


class Refused(OSError):
    """The host is in a private network."""


def guard() -> None:
    """Let no socket of this process reach what is not on the public internet."""
    connect, connect_ex, sendto = socket.socket.connect, socket.socket.connect_ex, socket.socket.sendto

    def guarded_connect(self: socket.socket, address: Any) -> None:
        connect(self, check(self, address))

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        return connect_ex(self, check(self, address))

    def guarded_sendto(self: socket.socket, data: Any, *rest: Any) -> int:
        flags, address = (rest[0], rest[1]) if len(rest) > 1 else (0, rest[0])
        return sendto(self, data, flags, check(self, address))

    socket.socket.connect = guarded_connect  # type: ignore[method-assign, assignment]
    socket.socket.connect_ex = guarded_connect_ex  # type: ignore[method-assign, assignment]
    socket.socket.sendto = guarded_sendto  # type: ignore[method-assign, assignment]


def check(used: socket.socket, address: Any) -> Any:
    """The address to use, with its name resolved once and for all. Raises Refused unless it is public."""
    if used.family not in (socket.AF_INET, socket.AF_INET6):
        raise Refused("only the internet may be reached")
    found = socket.getaddrinfo(address[0], address[1], used.family, used.type)
    if not all(is_public(str(one[4][0])) for one in found):
        raise Refused(f"{address[0]} is in a private network: alerts may not be sent there")
    return found[0][4]


def is_public(text: str) -> bool:
    """Whether an address is one of the public internet; one that stands for another is judged by that."""
    address = ipaddress.ip_address(text.partition("%")[0])
    inner = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
    if inner is not None:
        address = inner
    return address.is_global and not address.is_multicast and not address.is_reserved


class Complaints(logging.Handler):
    """The first thing that apprise says went wrong."""

    first = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.first = self.first or record.getMessage()


def send(said: dict[str, Any]) -> dict[str, Any]:
    """What became of the message; `permanent` means that another try would end the same way."""
    from apprise import Apprise, NotifyFormat

    complaints = Complaints(logging.WARNING)
    logger = logging.getLogger("apprise")
    logger.addHandler(complaints)
    logger.propagate = False
    notifier = Apprise()
    if not notifier.add(said["address"]):
        return {"ok": False, "permanent": True, "error": "apprise can't read this address"}
    done = notifier.notify(title=said["title"], body=said["body"], body_format=NotifyFormat.TEXT)
    return {"ok": bool(done), "permanent": False, "error": "" if done else complaints.first or "it was not taken"}


def main() -> None:
    said = json.load(sys.stdin)
    if not said["private"]:
        guard()
    try:
        answer = send(said)
    except Exception as error:
        answer = {"ok": False, "permanent": False, "error": f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
