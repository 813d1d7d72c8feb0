"""One annotated object in pixels, and its line of a YOLO label file: shares of the image, in thirteen digits."""

from collections.abc import Sequence
from dataclasses import dataclass

from training.datasets.formats.pixels.masks import polygons_join

ROUNDING = 1.0  # pixels by which tools go beyond the edge of an image; more is an error
Polygon = tuple[float, ...]  # x1, y1, x2, y2, …


class BadObject(ValueError):
    """Why an object can't be used, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class Thing:
    """An object: its class, its box (left, top, width, height), its outlines, and its key points (x, y, visible)."""

    number: int
    box: tuple[float, float, float, float] | None = None
    polygons: tuple[Polygon, ...] = ()
    points: tuple[tuple[float, float, int], ...] = ()


def line_make(thing: Thing, task: str, width: int, height: int) -> str:
    """The object's line for detection, segmentation or pose. Raises BadObject."""
    if task == "segmentation":
        return _words(thing.number, _outline(thing, width, height))
    values = _box(thing, width, height)
    if task == "pose":
        values = [*values, *_points(thing, width, height)]
    return _words(thing.number, values)


def line_read(line: str, task: str, width: int, height: int) -> Thing:
    """The object of a line that `line_make` made, in pixels again; the outlines of one object stay joined."""
    number, *values = (float(word) for word in line.split())
    if task == "segmentation":
        sizes = [height if place % 2 else width for place in range(len(values))]
        return Thing(int(number), polygons=(tuple(a * b for a, b in zip(values, sizes, strict=True)),))
    x, y, w, h = values[0] * width, values[1] * height, values[2] * width, values[3] * height
    rest = values[4:]
    points = tuple((rest[i] * width, rest[i + 1] * height, int(rest[i + 2])) for i in range(0, len(rest), 3))
    return Thing(int(number), (x - w / 2, y - h / 2, w, h), points=points)


def _words(number: int, values: Sequence[float]) -> str:
    return " ".join([str(number), *(f"{value:.13g}" for value in values)])


def _box(thing: Thing, width: int, height: int) -> list[float]:
    if thing.box is None:
        raise BadObject("an object has no box")
    left, top, w, h = thing.box
    if not (w > 0 and h > 0):
        raise BadObject(f"a box of {w:g} × {h:g} pixels has no size")
    x1, x2 = _inside(left, width, "box"), _inside(left + w, width, "box")
    y1, y2 = _inside(top, height, "box"), _inside(top + h, height, "box")
    if not (x2 > x1 and y2 > y1):
        raise BadObject("a box lies on the edge of the image and has no size in it")
    return [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height]


def _outline(thing: Thing, width: int, height: int) -> list[float]:
    if not thing.polygons:
        raise BadObject("an object has no outline")
    for polygon in thing.polygons:
        if len(polygon) < 6 or len(polygon) % 2:
            raise BadObject(f"an outline of {len(polygon)} numbers is no polygon")
        if not _area(polygon):
            raise BadObject("an outline has no area")
    inside = [
        tuple(_inside(value, height if place % 2 else width, "outline") for place, value in enumerate(polygon))
        for polygon in thing.polygons
    ]
    return [value / (height if place % 2 else width) for place, value in enumerate(polygons_join(inside))]


def _area(polygon: Polygon) -> float:
    """Twice what the corners enclose (the shoelace formula)."""
    xs, ys = polygon[::2], polygon[1::2]
    following = zip(xs, ys, [*xs[1:], xs[0]], [*ys[1:], ys[0]], strict=True)
    return abs(sum(x * y2 - x2 * y for x, y, x2, y2 in following))


def _points(thing: Thing, width: int, height: int) -> list[float]:
    values: list[float] = []
    for x, y, visible in thing.points:
        if visible not in (0, 1, 2):
            raise BadObject(f"a key point has visibility {visible}, which is none of 0, 1 and 2")
        if not visible:
            values += [0.0, 0.0, 0.0]
            continue
        values += [_inside(x, width, "key point") / width, _inside(y, height, "key point") / height, float(visible)]
    return values


def _inside(value: float, size: int, what: str) -> float:
    """The value within the image; BadObject if it lies further out than rounding explains, or is no number."""
    if not -ROUNDING <= value <= size + ROUNDING:
        raise BadObject(f"a {what} reaches to {value:g}, outside of the image's {size} pixels")
    return min(max(value, 0.0), float(size))
