"""What may be said: the trainers' reports, checked and turned into items of the journal.

Everything is validated here, before any transaction; a bad report becomes a
`Refused` item with a reason, and never hurts the good ones beside it.
"""

import json
import struct
import time as clock
from dataclasses import dataclass, field
from typing import Any

from training.journal.checks import (
    EARLIEST_TIME,
    LARGEST,
    LARGEST_EPOCH,
    Unacceptable,
    clean_text,
    latest_time,
    names_read,
    number_read,
    strict,
    time_read,
    values_read,
)
from training.models.journal import LogLevel

MAX_REPORTS = 1000
MAX_LINES = 1000
MAX_MESSAGE = 64 * 1024
MAX_METADATA = 8 * 1024
CUT_MARK = " … [cut]"


@dataclass(slots=True)
class Metrics:
    """One report: values in the order of `names`, as float64 bytes, little-endian."""

    no: int | None
    time: float
    step: int | None
    epoch: int | None
    names: tuple[str, ...]
    values: bytes


@dataclass(slots=True)
class Line:
    level: int
    source: str
    time: float
    message: str
    metadata: str = ""


@dataclass(slots=True)
class Lines:
    """A batch of log lines that is stored as one record."""

    no: int | None
    lines: list[Line]


@dataclass(slots=True)
class Event:
    """Something that the platform itself records, such as a change of state."""

    data: dict[str, Any]
    no: None = None


@dataclass(slots=True)
class Refused:
    """A report that is not stored; its number is used up, and the journal says why."""

    no: int | None
    reason: str


Item = Metrics | Lines | Event | Refused


@dataclass(slots=True)
class Totals:
    """What a progress report may say beside metrics."""

    epochs: int | None = None
    steps: int | None = None
    phase: str = ""


@dataclass(slots=True)
class Progress:
    items: list[Item] = field(default_factory=list)
    totals: Totals = field(default_factory=Totals)


def progress_read(body: Any, now: float | None = None) -> Progress:
    """Read the body of a `progress` call in any of its forms. Raises Unacceptable where no item can be told."""
    now = clock.time() if now is None else now
    if not isinstance(body, dict):
        raise Unacceptable("the body must be a JSON object")
    progress = Progress()
    if "rows" in body or "blocks" in body:
        blocks = body.get("blocks", [body])
        progress.items = [item for block in _objects(blocks, "blocks") for item in _block_read(block, now)]
    elif "reports" in body:
        reports = _objects(body["reports"], "reports")
        progress.items = [_report_read(report, now, progress.totals) for report in reports]
    else:
        progress.items = [_report_read(body, now, progress.totals)]
    if len(progress.items) > MAX_REPORTS:
        raise Unacceptable(f"{len(progress.items)} reports in one request; at most {MAX_REPORTS} are taken")
    return progress


def log_read(body: Any, now: float | None = None) -> list[Item]:
    """Read the body of a `log` call. Raises Unacceptable where no batch can be told."""
    now = clock.time() if now is None else now
    if not isinstance(body, dict):
        raise Unacceptable("the body must be a JSON object")
    batches = _objects(body.get("batches", [body]), "batches")
    if len(batches) > MAX_REPORTS:
        raise Unacceptable(f"{len(batches)} batches in one request; at most {MAX_REPORTS} are taken")
    return [_batch_read(batch, now) for batch in batches]


def line_make(message: str, level: int = LogLevel.INFO, source: str = "platform", time: float | None = None) -> Line:
    """A log line of the platform's own, cleaned and cut like any other."""
    return Line(level, source, clock.time() if time is None else time, _message(message))


def _objects(value: Any, what: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Unacceptable(f"{what} must be a list of objects")
    return value


def _report_read(report: dict[str, Any], now: float, totals: Totals) -> Item:
    no = None
    try:
        no = number_read(report.get("no"), "no", 1)
        totals.epochs = number_read(report.get("total_epochs"), "total_epochs", 0, LARGEST_EPOCH) or totals.epochs
        totals.steps = number_read(report.get("total_steps"), "total_steps", 0) or totals.steps
        totals.phase = str(report.get("phase") or totals.phase)[:32]
        metrics = report.get("metrics", {})
        if not isinstance(metrics, dict):
            raise Unacceptable("metrics must be an object of names and numbers")
        names = names_read(tuple(metrics))
        return Metrics(
            no,
            time_read(report.get("time"), now),
            number_read(report.get("step"), "step"),
            number_read(report.get("epoch"), "epoch", 0, LARGEST_EPOCH),
            names,
            values_read(tuple(metrics.values()), names),
        )
    except Unacceptable as error:
        return Refused(no, str(error))


def _block_read(block: dict[str, Any], now: float) -> list[Item]:
    rows = block.get("rows")
    if not isinstance(rows, list):
        raise Unacceptable("rows must be a list")
    try:
        raw_names = block.get("names")
        if not isinstance(raw_names, list):
            raise Unacceptable("names must be a list")
        names = names_read(tuple(raw_names))
    except Unacceptable as error:
        return [_row_read(row, (), str(error), now) for row in rows]
    return _rows_read(rows, names, now)


def _rows_read(rows: list[Any], names: tuple[str, ...], now: float) -> list[Item]:
    """Rows in the plainest form are taken at one look, in a third of the time; `_row_read` judges the others."""
    pack, latest = struct.Struct(f"<{len(names)}d").pack, latest_time(now)
    items: list[Item] = []
    for row in rows:
        item = None
        try:
            no, epoch, step, time, values = row
            if (
                type(no) is int
                and 1 <= no <= LARGEST
                and (epoch is None or (type(epoch) is int and 0 <= epoch <= LARGEST_EPOCH))
                and (step is None or (type(step) is int and 0 <= step <= LARGEST))
                and type(time) is float
                and EARLIEST_TIME <= time <= latest
                and type(values) is list
            ):
                item = Metrics(no, time, step, epoch, names, pack(*values))
        except (TypeError, ValueError, OverflowError, struct.error):
            item = None
        items.append(item or _row_read(row, names, "", now))
    return items


def _row_read(row: Any, names: tuple[str, ...], problem: str, now: float) -> Item:
    no = None
    try:
        if not isinstance(row, list) or len(row) != 5 or not isinstance(row[4], list):
            raise Unacceptable("a row must be [no, epoch, step, time, [values]]")
        no = number_read(row[0], "no", 1)
        if problem:
            raise Unacceptable(problem)
        if len(row[4]) != len(names):
            raise Unacceptable(f"{len(row[4])} values for {len(names)} names")
        epoch, step = number_read(row[1], "epoch", 0, LARGEST_EPOCH), number_read(row[2], "step")
        return Metrics(no, time_read(row[3], now), step, epoch, names, values_read(row[4], names))
    except Unacceptable as error:
        return Refused(no, str(error))


def _batch_read(batch: dict[str, Any], now: float) -> Item:
    no = None
    try:
        no = number_read(batch.get("no"), "no", 1)
        lines = batch.get("lines")
        if not isinstance(lines, list) or not lines:
            raise Unacceptable("lines must be a list of log lines")
        if len(lines) > MAX_LINES:
            raise Unacceptable(f"{len(lines)} lines in one batch; at most {MAX_LINES} are taken")
        return Lines(no, [_line_read(line, now) for line in lines])
    except Unacceptable as error:
        return Refused(no, str(error))


def _line_read(line: Any, now: float) -> Line:
    if not isinstance(line, dict) or not isinstance(line.get("message"), str):
        raise Unacceptable("a log line must be an object with a message")
    level = str(line.get("level", "info")).upper()
    if level not in LogLevel.names:
        raise Unacceptable(f"level must be one of {', '.join(LogLevel.labels)}")
    source = clean_text(str(line.get("source") or "trainer"))[:32]
    return Line(LogLevel[level], source, time_read(line.get("time"), now), _message(line["message"]), _metadata(line))


def _message(message: str) -> str:
    if len(message) > MAX_MESSAGE:
        message = message[: MAX_MESSAGE - len(CUT_MARK)] + CUT_MARK
    return clean_text(message)


def _metadata(line: dict[str, Any]) -> str:
    metadata = line.get("metadata")
    if not metadata:
        return ""
    text = json.dumps(strict(metadata), ensure_ascii=True, separators=(",", ":"))
    if not isinstance(metadata, dict) or len(text) > MAX_METADATA:
        raise Unacceptable(f"metadata must be an object of at most {MAX_METADATA} bytes")
    return text
