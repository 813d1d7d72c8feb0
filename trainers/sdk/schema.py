"""Settings held against a trainer's own schema: the `[[settings]]` tables of its trainer.toml."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainers.sdk.errors import SettingError

_WORDS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def read_manifest(folder: Path) -> dict[str, Any]:
    """The trainer.toml of a trainer's folder."""
    return tomllib.loads((folder / "trainer.toml").read_text(encoding="utf-8"))


def checked(given: Mapping[str, Any], schema: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """All settings of the schema, given or default, of the right types and within bounds.

    Raises SettingError that names the setting: one that the schema lacks, or a value that it does not allow.
    """
    unknown = sorted(set(given) - {setting["name"] for setting in schema})
    if unknown:
        raise SettingError(f"{', '.join(unknown)}: this trainer has no such setting")
    return {setting["name"]: _value(given.get(setting["name"]), setting) for setting in schema}


def typed(value: Any, kind: str, name: str) -> Any:
    """The value as `integer`, `number`, `boolean`, `text` or `choice`, from itself or text. Raises SettingError."""
    try:
        return _CONVERSIONS[kind](value)
    except (TypeError, ValueError, KeyError, OverflowError):
        raise SettingError(f"{name} must be {_PHRASES[kind]}, not {value!r}") from None


def _value(value: Any, setting: Mapping[str, Any]) -> Any:
    name = setting["name"]
    if value is None or (value == "" and setting["type"] not in ("text", "choice")):
        return setting.get("default")
    value = typed(value, setting["type"], name)
    low, high, choices = setting.get("minimum"), setting.get("maximum"), setting.get("choices")
    if low is not None and value < low:
        raise SettingError(f"{name} must be at least {low}, not {value}")
    if high is not None and value > high:
        raise SettingError(f"{name} must be at most {high}, not {value}")
    if choices and value not in choices:
        raise SettingError(f"{name} must be one of {', '.join(map(str, choices))}, not {value!r}")
    return value


def _integer(value: Any) -> int:
    number = _number(value)
    if number != int(number):
        raise ValueError
    return int(number)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not math.isfinite(float(value)):
        raise ValueError
    return float(value)


def _boolean(value: Any) -> bool:
    return value if isinstance(value, bool) else _WORDS[str(value).strip().lower()]


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError
    return str(value)


_CONVERSIONS = {"integer": _integer, "number": _number, "boolean": _boolean, "text": _text, "choice": _text}
_PHRASES = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "text": "text",
    "choice": "text",
}
