"""What a model's process has written, read as if a stranger had: the process may have run whatever its weights held."""

import math
from typing import Any

from training.templatetags.text import plain_text

MOST_BYTES = 4 * 1024 * 1024
MOST_OBJECTS, MOST_SCORES, MOST_POINTS, MOST_CLASSES = 300, 20, 1000, 10_000
TASKS = ("detect", "segment", "classify", "pose", "obb")


class BadResult(ValueError):
    """Not a result; the message says where."""


def result_read(raw: Any) -> dict[str, Any]:
    """The same, of exactly the known form: task, milliseconds, and `objects` or `scores`, the likeliest first.

    An object has class, name, score, `outline`, and perhaps `box` and `points`; places are shares of the picture,
    held within a little more than it. Raises BadResult.
    """
    if not isinstance(raw, dict) or raw.get("task") not in TASKS:
        raise BadResult("The model's process wrote no result.")
    names = _list(raw, "classes", MOST_CLASSES)
    result: dict[str, Any] = {"task": raw["task"], "milliseconds": round(_number(raw.get("milliseconds"), 1e9))}
    if raw["task"] == "classify":
        told = [_seen(one, names) for one in _list(raw, "scores", MOST_SCORES)]
        return result | {"scores": sorted(told, key=lambda one: -one["score"])}
    found = [_object(one, names) for one in _list(raw, "objects", MOST_OBJECTS)]
    return result | {"objects": sorted(found, key=lambda one: -one["score"])}


def _seen(one: Any, names: list[Any]) -> dict[str, Any]:
    if not isinstance(one, dict):
        raise BadResult("The model's process wrote something that is no object.")
    number = one.get("class")
    if not isinstance(number, int) or not 0 <= number < len(names):
        raise BadResult("The model's process named a class that there is not.")
    return {"class": number, "name": plain_text(str(names[number]))[:100], "score": _number(one.get("score"), 1.0)}


def _object(one: Any, names: list[Any]) -> dict[str, Any]:
    seen = _seen(one, names)
    seen["outline"] = [_place(corner, 2) for corner in _list(one, "outline", MOST_POINTS)]
    if "box" in one:
        seen["box"] = [_place(corner, 2) for corner in _list(one, "box", 4)]
    if "points" in one:
        seen["points"] = [_place(point, 3) for point in _list(one, "points", MOST_POINTS)]
    return seen


def _place(numbers: Any, count: int) -> list[float]:
    if not isinstance(numbers, list) or len(numbers) != count:
        raise BadResult("The model's process wrote a place that is none.")
    return [round(_number(number, 1.5, least=-0.5), 5) for number in numbers]


def _list(raw: dict[str, Any], name: str, most: int) -> list[Any]:
    found = raw.get(name)
    if not isinstance(found, list):
        raise BadResult(f"The model's process wrote no {name}.")
    return found[:most]


def _number(value: Any, most: float, least: float = 0.0) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadResult("The model's process wrote a number that is none.")
    return max(least, min(most, float(value)))
