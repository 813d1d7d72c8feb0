"""Spool records put together into one request: the call, the numbers it covers, and its body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from trainers.sdk.metrics import compact
from trainers.sdk.records import LOG, REPORT, ROW, Record

BYTES_A_REQUEST = 3 << 20
LOG_BATCHES_A_REQUEST = 100


@dataclass(frozen=True, slots=True)
class Batch:
    """A request to be: `call` is `progress` or `log`; the numbers first to last follow each other."""

    call: str
    first: int
    last: int
    content: bytes


def leading(records: Sequence[Record], most: int) -> Sequence[Record]:
    """The records at the head that fit into one request: of one kind, in order, few and small enough."""
    kind, size = records[0].kind, 0
    most = min(most, LOG_BATCHES_A_REQUEST) if kind == LOG else most
    for count, record in enumerate(records[:most]):
        size += len(record.body)
        if record.kind != kind or (count and size > BYTES_A_REQUEST):
            return records[:count]
    return records[:most]


def batch_of(records: Sequence[Record]) -> Batch:
    """The request for records of one kind."""
    kind = records[0].kind
    call = "log" if kind == LOG else "progress"
    content = _blocks(records) if kind == ROW else _numbered(b"reports" if kind == REPORT else b"batches", records)
    return Batch(call, records[0].number, records[-1].number, content)


def filler(first: int, last: int, reason: str) -> Batch:
    """Log lines that take the place of numbers whose content is lost, so that the sequence goes on without a gap."""
    line = {"level": "warning", "message": reason, "source": "sdk"}
    batches = [{"no": number, "lines": [line]} for number in range(first, last + 1)]
    return Batch("log", first, last, compact({"batches": batches}))


def _blocks(records: Sequence[Record]) -> bytes:
    """Compact blocks: neighbours with the same names share one."""
    blocks = []
    for names, rows in groupby(records, key=lambda record: record.body.partition(b"\t")[0]):
        text = b",".join(b"[%d,%b]" % (record.number, record.body.partition(b"\t")[2]) for record in rows)
        blocks.append(b'{"names":%b,"rows":[%b]}' % (names, text))
    return blocks[0] if len(blocks) == 1 else b'{"blocks":[%b]}' % b",".join(blocks)


def _numbered(key: bytes, records: Sequence[Record]) -> bytes:
    return b'{"%b":[%b]}' % (key, b",".join(b'{"no":%d,%b}' % (record.number, record.body) for record in records))
