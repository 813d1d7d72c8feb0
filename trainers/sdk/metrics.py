"""Metrics and text on their way into the spool: floats, clean names, compact JSON; nothing here raises."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from trainers.sdk.records import REPORT, ROW

METRICS_A_REPORT = 1000
NAME_LENGTH = 255
MESSAGE_BYTES = 64 << 10

_encode = json.JSONEncoder(separators=(",", ":"), default=str, check_circular=False).encode
_known_names: dict[tuple[str, ...], bytes] = {}

Complain = Callable[[str], None]


def clean(text: object) -> str:
    """Text without NUL and lone surrogates, which JSON may carry but a database cannot hold."""
    return str(text).replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def shortened(message: object) -> str:
    """A message of at most 64 KiB, marked where it was cut."""
    text = clean(message)
    if len(text) < MESSAGE_BYTES // 4 or len(text.encode()) <= MESSAGE_BYTES:
        return text
    kept = text.encode()[: MESSAGE_BYTES - 64].decode(errors="ignore")
    return f"{kept}… (cut, {len(text)} characters)"


def compact(value: object) -> bytes:
    """A value as compact JSON in one line; what JSON does not know is written as text."""
    return _encode(value).encode()


def whole_number(value: Any, what: str, complain: Complain) -> int | None:
    """An epoch or a step as an int; None, and a complaint, if it is not a number."""
    try:
        return None if value is None else int(value)
    except (TypeError, ValueError, OverflowError):
        complain(f"{what} {value!r} is not a whole number")
        return None


def bodies_of(
    metrics: Mapping[str, Any],
    epoch: int | None,
    step: int | None,
    time: float,
    extra: dict[str, Any],
    complain: Complain,
) -> Iterator[tuple[bytes, bytes]]:
    """The records of one report, as kind and body: compact, or plain where it says more than a row can hold.

    Values may be anything that float() takes, such as 0-d tensors; the others are left out with a complaint.
    """
    names, values = usable_floats(metrics, complain)
    for start in range(0, len(names), METRICS_A_REPORT):
        some, numbers = names[start : start + METRICS_A_REPORT], values[start : start + METRICS_A_REPORT]
        if extra:
            report = {
                "epoch": epoch,
                "step": step,
                "time": time,
                **extra,
                "metrics": dict(zip(some, numbers, strict=True)),
            }
            yield REPORT, compact(report)[1:-1]
        else:
            row = _encode([epoch, step, time, numbers])
            yield ROW, b"%b\t%b" % (_names_in_json(some), row[1:-1].encode())


def usable_floats(metrics: Mapping[str, Any], complain: Complain) -> tuple[tuple[str, ...], list[float]]:
    """Names and values of the metrics that can be stored; the others are left out with a complaint."""
    try:
        names, values = tuple(metrics), [float(value) for value in metrics.values()]
        if names in _known_names or _all_usable(names):
            return names, values
    except (TypeError, ValueError, OverflowError, RuntimeError):
        names = ()
    usable = {
        clean(name): number for name, value in metrics.items() if (number := _float(name, value, complain)) is not None
    }
    return tuple(usable), list(usable.values())


def _all_usable(names: tuple[Any, ...]) -> bool:
    return all(isinstance(name, str) and 0 < len(name) <= NAME_LENGTH and name == clean(name) for name in names)


def _float(name: Any, value: Any, complain: Complain) -> float | None:
    if not isinstance(name, str) or not 0 < len(name) <= NAME_LENGTH:
        complain(f"metric name {str(name)[:80]!r} is not text of 1 to {NAME_LENGTH} characters")
        return None
    try:
        return float(value)
    except Exception as error:
        complain(f"metric {name!r} is not a number but a {type(value).__name__}: {error}")
        return None


def _names_in_json(names: tuple[str, ...]) -> bytes:
    known = _known_names.get(names)
    if known is None:
        if len(_known_names) > 1000:
            _known_names.clear()
        known = _known_names[names] = _encode(list(names)).encode()
    return known
