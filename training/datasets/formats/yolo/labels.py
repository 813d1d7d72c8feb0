"""One label file of a YOLO folder: a line for each object, its class and its place, as shares of the image."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.datasets.scan import Problems

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
MAX_BYTES = 10 * 1024 * 1024
ROUNDING = 0.001  # tools that round write 1.0000001
FIELDS = ("x", "y", "width", "height")


class BadLabel(ValueError):
    """The file has at least one line that can't be used; its problems have been noted."""


@dataclass(frozen=True, slots=True)
class LineKind:
    """What a line must look like. Each says what is wrong, or nothing."""

    columns: Callable[[int], str]  # with a number of fields
    place: Callable[[Sequence[float]], str]  # with the numbers after the class


def label_read(file: Path, name: str, classes: int, problems: Problems, kind: LineKind) -> tuple[int, ...]:
    """The class numbers of the objects, in order; empty for a background image.

    `classes` is how many there are, 0 if that is unknown. Every bad line is
    noted in `problems` under the file's `name`; then BadLabel is raised,
    because an image with some of its objects would teach that the rest is background.
    """
    found, bad = [], False
    for number, line in enumerate(_lines(file, name, problems), start=1):
        fields = line.split()
        if not fields:
            continue
        wrong = _wrong(fields, classes, kind)
        if wrong:
            problems.add(name, wrong, number)
            bad = True
        else:
            found.append(int(float(fields[0])))
    if bad:
        raise BadLabel(name)
    return tuple(found)


def _lines(file: Path, name: str, problems: Problems) -> list[str]:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ValueError("a label file has at most 10 MiB")
        return re.split(r"\r\n|\r|\n", file.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        problems.add(name, "this is not a text file")
        raise BadLabel(name) from error
    except (ValueError, OSError) as error:
        problems.add(name, f"it can't be read ({getattr(error, 'strerror', None) or error})")
        raise BadLabel(name) from error


def _wrong(fields: list[str], classes: int, kind: LineKind) -> str:
    """What is wrong with a line, or nothing."""
    if wrong := kind.columns(len(fields)):
        return wrong
    for text in fields:
        if not NUMBER.fullmatch(text):
            return f"{text[:20]!r} is not a number"
    number, *place = (float(text) for text in fields)
    if number % 1:
        return f"class {fields[0][:20]} is not a whole number"
    if number < 0 or (classes and number >= classes) or number >= 10_000:
        return f"class {fields[0][:20]} is out of range 0–{(classes or 10_000) - 1}"
    return kind.place(place)


def box_columns_wrong(count: int) -> str:
    return "" if count == 5 else f"{count} fields, but a box has 5: class x y width height"


def box_wrong(place: Sequence[float]) -> str:
    for field, value in zip(FIELDS, place, strict=True):
        if outside(value):
            return f"{field} {value:g} is outside 0–1"
    return "" if min(place[2:]) > 0 else "the box has no size"


def outside(value: float) -> bool:
    """Whether it is no share of an image."""
    return not -ROUNDING <= value <= 1 + ROUNDING


def corners_wrong(place: Sequence[float], what: str) -> str:
    """What is wrong with corners x1 y1 x2 y2 …, all within the image and around some of it."""
    for number, value in enumerate(place):
        if outside(value):
            return f"{'xy'[number % 2]}{number // 2 + 1} {value:g} is outside 0–1"
    return "" if _area(place) > 0 else f"the {what} has no area"


def _area(place: Sequence[float]) -> float:
    """What the corners enclose (the shoelace formula); a figure that crosses itself may come out small."""
    xs, ys = place[::2], place[1::2]
    following = [*xs[1:], xs[0]], [*ys[1:], ys[0]]
    return abs(sum(x * y2 - x2 * y for x, y, x2, y2 in zip(xs, ys, *following, strict=True))) / 2


BOX = LineKind(box_columns_wrong, box_wrong)
