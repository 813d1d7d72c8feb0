"""What the delivery worker and the process of a backend say to each other: JSON in frames, over a socket.

Floats stay exact, and NaN and ±Inf what they are: Python writes the shortest
text that reads back the same, and bare tokens for the others. The values of
reports are packed doubles, and their lists of names are said once in a batch:
as texts they took longer than all the rest of a delivery.
"""

import json
import socket
import struct
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple
from typing import Any

from observability.base import Ending, JobFacts, LogLine, Report

LENGTH = struct.Struct(">I")
Message = dict[str, Any]
Receive = Callable[[int], bytes]


def frame(message: Message) -> bytes:
    body = json.dumps(message, separators=(",", ":")).encode()
    return LENGTH.pack(len(body)) + body


def unframe(receive: Receive) -> Message | None:
    """The next message; None at the end. `receive(n)` gives n bytes, or fewer at the end."""
    head = receive(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    body = receive(length)
    return dict(json.loads(body)) if len(body) == length else None


def receive_all(connection: socket.socket, count: int) -> bytes:
    """`count` bytes, or fewer where the other side has gone."""
    found = bytearray()
    while len(found) < count:
        piece = connection.recv(min(count - len(found), 1 << 20))
        if not piece:
            break
        found += piece
    return bytes(found)


def plain(value: Any) -> Any:
    """An argument of an adapter's call as JSON holds it."""
    match value:
        case JobFacts() | Ending():
            return asdict(value)
        case [Report(), *_]:
            return _packed(value)
        case [LogLine(), *_]:
            return [astuple(one) for one in value]
        case _:
            return value


def arguments(call: str, values: Sequence[Any]) -> list[Any]:
    """The arguments of a call, as the adapter takes them."""
    made = list(values)
    if call == "create_experiment":
        made[0] = JobFacts(**{**made[0], "tags": tuple(made[0]["tags"])})
    elif call == "log_metrics":
        made[1] = _unpacked(**made[1])
    elif call == "log_lines":
        made[1] = [LogLine(*row) for row in made[1]]
    elif call == "finalize":
        made[1] = Ending(**made[1])
    return made


def _packed(reports: Sequence[Report]) -> Message:
    """A batch of reports as JSON: `names` holds each list of names once, a row tells which is its own."""
    names: dict[tuple[str, ...], int] = {}
    rows = [
        (
            *(one.seq, one.attempt, one.time, one.step, one.epoch, names.setdefault(one.names, len(names))),
            b2a_base64(struct.pack(f"<{len(one.values)}d", *one.values), newline=False).decode(),
        )
        for one in reports
    ]
    return {"names": list(names), "rows": rows}


def _unpacked(names: list[list[str]], rows: list[list[Any]]) -> list[Report]:
    lists = [tuple(one) for one in names]
    reports = []
    for seq, attempt, time, step, epoch, which, text in rows:
        values = struct.unpack(f"<{len(lists[which])}d", a2b_base64(text))
        reports.append(Report(seq, attempt, time, step, epoch, lists[which], values))
    return reports
