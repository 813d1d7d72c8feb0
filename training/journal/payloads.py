"""What may be said: the trainers' reports, checked and turned into items of the journal.

Everything is validated here, before any transaction; a bad report becomes a
`Refused` item with a reason, and never hurts the good ones beside it.
"""

import json
import math
import struct
import time as clock
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from training.models.journal import LogLevel

MAX_METRICS = 1000
MAX_NAME = 255
MAX_REPORTS = 1000
MAX_LINES = 1000
MAX_MESSAGE = 64 * 1024
MAX_METADATA = 8 * 1024
LARGEST = 2**63 - 1
LARGEST_EPOCH = 2**31 - 1
EARLIEST_TIME = 946_684_800.0  # the year 2000
NONFINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
CUT_MARK = " … [cut]"


class Unacceptable(ValueError):
    """A report that can't be taken; the message is for the one who wrote the trainer."""


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


def clean_text(text: str) -> str:
    """Text that every database takes: NUL and lone surrogates become U+FFFD."""
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


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
            _time(report.get("time"), now),
            number_read(report.get("step"), "step"),
            number_read(report.get("epoch"), "epoch", 0, LARGEST_EPOCH),
            names,
            _values(tuple(metrics.values()), names),
        )
    except Unacceptable as error:
        return Refused(no, str(error))


def _block_read(block: dict[str, Any], now: float) -> Iterator[Item]:
    rows = block.get("rows")
    if not isinstance(rows, list):
        raise Unacceptable("rows must be a list")
    problem = ""
    names: tuple[str, ...] = ()
    try:
        raw_names = block.get("names")
        if not isinstance(raw_names, list):
            raise Unacceptable("names must be a list")
        names = names_read(tuple(raw_names))
    except Unacceptable as error:
        problem = str(error)
    for row in rows:
        yield _row_read(row, names, problem, now)


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
        return Metrics(no, _time(row[3], now), step, epoch, names, _values(row[4], names))
    except Unacceptable as error:
        return Refused(no, str(error))


def names_read(names: tuple[Any, ...]) -> tuple[str, ...]:
    """Check a list of metric names; they are stored exactly as sent, but for what no database takes."""
    if len(names) > MAX_METRICS:
        raise Unacceptable(f"{len(names)} metrics in one report; at most {MAX_METRICS} are taken")
    for name in names:
        if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME:
            raise Unacceptable(f"a metric's name must be text of 1 to {MAX_NAME} characters")
    cleaned = tuple(map(clean_text, names))
    if len(set(cleaned)) != len(cleaned):
        raise Unacceptable("a metric's name stands twice in one report")
    return cleaned


def _values(raw: Any, names: tuple[str, ...]) -> bytes:
    try:
        return struct.pack(f"<{len(names)}d", *raw)
    except (struct.error, OverflowError):
        return struct.pack(f"<{len(names)}d", *map(_value, raw, names))


def _value(raw: Any, name: str) -> float:
    if isinstance(raw, str) and raw in NONFINITE:
        return NONFINITE[raw]
    if not isinstance(raw, int | float):
        raise Unacceptable(f"{name} must be a number, or NaN, Infinity or -Infinity")
    try:
        return float(raw)
    except OverflowError as error:
        raise Unacceptable(f"{name} is too large for a 64-bit float") from error


def number_read(raw: Any, what: str, least: int = 0, most: int = LARGEST) -> int | None:
    """A whole number, or None where nothing was said. Raises Unacceptable."""
    if raw is None:
        return None
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    if isinstance(raw, bool) or not isinstance(raw, int) or not least <= raw <= most:
        raise Unacceptable(f"{what} must be a whole number from {least} to {most}")
    return raw


def _time(raw: Any, now: float) -> float:
    if raw is None:
        return now
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not EARLIEST_TIME <= raw <= now + 86_400:
        raise Unacceptable("time must be seconds since 1970, after the year 2000 and not in the future")
    return float(raw)


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
    return Line(LogLevel[level], source, _time(line.get("time"), now), _message(line["message"]), _metadata(line))


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


def strict(value: Any) -> Any:
    """The same value for strict JSON: non-finite numbers as the strings NaN, Infinity and -Infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {clean_text(str(key)): strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    return clean_text(value) if isinstance(value, str) else value
