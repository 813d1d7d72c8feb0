"""What parts of a report may be: text, names, whole numbers, times and values, each checked and made what is stored."""

import math
import struct
from typing import Any

MAX_METRICS = 1000
MAX_NAME = 255
LARGEST = 2**63 - 1
LARGEST_EPOCH = 2**31 - 1
EARLIEST_TIME = 946_684_800.0  # the year 2000
NONFINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class Unacceptable(ValueError):
    """A report that can't be taken; the message is for the one who wrote the trainer."""


def clean_text(text: str) -> str:
    """Text that every database takes: NUL and lone surrogates become U+FFFD."""
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


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


def values_read(raw: Any, names: tuple[str, ...]) -> bytes:
    """As many values as there are names, packed. Raises Unacceptable."""
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


def latest_time(now: float) -> float:
    """The last moment that a report may tell: clocks differ, but not by more than a day."""
    return now + 86_400


def time_read(raw: Any, now: float) -> float:
    """Seconds since 1970, or `now` where nothing was said. Raises Unacceptable."""
    if raw is None:
        return now
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not EARLIEST_TIME <= raw <= latest_time(now):
        raise Unacceptable("time must be seconds since 1970, after the year 2000 and not in the future")
    return float(raw)


def strict(value: Any) -> Any:
    """The same value for strict JSON: non-finite numbers as the strings NaN, Infinity and -Infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {clean_text(str(key)): strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    return clean_text(value) if isinstance(value, str) else value
