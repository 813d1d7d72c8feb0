"""COCO annotations turned into a YOLO folder: boxes, polygons or key points."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from trainers.sdk.errors import DatasetError

Size = tuple[float, float]


def coco_to_yolo(annotations: Path, images: Path, target: Path, task: str = "detect") -> Path:
    """Write `target/images` (links), `target/labels` and `classes.txt`, without crowds. Raises DatasetError.

    COCO's category numbers are arbitrary: classes are numbered from 0 in the order of those numbers. What reaches
    beyond the edge of its image is cut there, and an object of which nothing is left is left out. Masks as run
    lengths become the outlines of their pixels, as an import on the platform makes them; that needs numpy.
    """
    if task not in LINES:
        raise DatasetError(f"{task!r} is none of {', '.join(LINES)}")
    try:
        with _without_collection():
            data = json.loads(annotations.read_bytes())
            categories = sorted(data["categories"], key=lambda category: category["id"])
            numbers = {category["id"]: number for number, category in enumerate(categories)}
            lines = _lines(data, numbers, LINES[task])
            _Writing(images, target).run(data["images"], lines)
    except (OSError, ValueError, LookupError, TypeError, ZeroDivisionError) as error:
        raise DatasetError(
            f"{annotations.name} is not a COCO file for {task}: {type(error).__name__}: {error}"
        ) from error
    (target / "classes.txt").write_text("".join(f"{category['name']}\n" for category in categories), encoding="utf-8")
    return target


def _lines(
    data: dict[str, Any], numbers: dict[int, int], line: Callable[[dict[str, Any], Size], str]
) -> dict[int, list[str]]:
    """The label lines by image. Sizes are looked up once for each image, so that many objects cost little."""
    places: dict[int, tuple[Callable[[str], None], Size]] = {}
    lines: dict[int, list[str]] = {}
    for image in data["images"]:
        lines[image["id"]] = of_image = list[str]()
        places[image["id"]] = of_image.append, (float(image["width"]), float(image["height"]))
    for found in data["annotations"]:
        if found.get("iscrowd"):
            continue
        add, size = places[found["image_id"]]
        if said := line(found, size):
            add(f"{numbers[found['category_id']]} {said}\n")
    return lines


def _box(found: dict[str, Any], size: Size) -> str:
    """[left, top, width, height] in pixels as centre and size in shares of the image; empty for a box without size."""
    left, top, width, height = found["bbox"]
    most_x, most_y = size
    right, bottom = left + width, top + height
    if left < 0 or top < 0 or right > most_x or bottom > most_y:
        left, top, right, bottom = max(left, 0), max(top, 0), min(right, most_x), min(bottom, most_y)
    if right <= left or bottom <= top:
        return ""
    x, y, width, height = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
    return f"{x / most_x:.10g} {y / most_y:.10g} {width / most_x:.10g} {height / most_y:.10g}"


def _outline(found: dict[str, Any], size: Size) -> str:
    """The outlines of one object as one polygon: its parts hang on the first by bridges without width."""
    polygons = found["segmentation"]
    if isinstance(polygons, dict):
        from trainers.sdk.masks import rle_outlines  # only here: a trainer may do without numpy

        polygons = rle_outlines(polygons)
    whole: list[float] = []
    for polygon in polygons:
        if len(polygon) < 6 or len(polygon) % 2:
            raise ValueError(f"an outline of {len(polygon)} numbers is no polygon")
        bridge = [] if not whole or whole[-2:] == whole[:2] else whole[:2]
        whole += [*bridge, *polygon, *polygon[:2], *whole[:2]] if whole else polygon
    shares = (min(max(value, 0), size[place % 2]) / size[place % 2] for place, value in enumerate(whole))
    return " ".join(f"{share:.10g}" for share in shares)


def _pose(found: dict[str, Any], size: Size) -> str:
    """The box, and x, y and visibility of each key point; empty where none is marked."""
    points, box = found.get("keypoints") or [], _box(found, size)
    if not box or not any(points[2::3]):
        return ""
    shares = []
    for x, y, visible in zip(points[::3], points[1::3], points[2::3], strict=True):
        inside = visible and 0 <= x <= size[0] and 0 <= y <= size[1]
        shares.append(f"{x / size[0]:.10g} {y / size[1]:.10g} {visible:d}" if inside else "0 0 0")
    return " ".join([box, *shares])


LINES: dict[str, Callable[[dict[str, Any], Size], str]] = {"detect": _box, "segment": _outline, "pose": _pose}


class _Writing:
    """Writes label files and links to images, and makes each folder once."""

    def __init__(self, images: Path, target: Path) -> None:
        self.images, self.root = str(images.resolve()), str(target.resolve())
        self._made: set[str] = set()

    def run(self, images: Sequence[dict[str, Any]], lines: dict[int, list[str]]) -> None:
        names = [image["file_name"] for image in images]
        there = _files_below(self.images)
        for name in names:
            if name not in there or not _plain(name):
                raise ValueError(f"{name!r} is not an image of the folder")
        if there == set(names) and not os.path.lexists(f"{self.root}/images"):
            os.makedirs(self.root, exist_ok=True)
            os.symlink(self.images, f"{self.root}/images", target_is_directory=True)  # all of them by one link
        elif os.path.realpath(f"{self.root}/images") != self.images:  # else it is such a link, of an earlier conversion
            for name in names:
                self._link(name)
        for image, name in zip(images, names, strict=True):
            self._write(name, "".join(lines[image["id"]]))

    def _link(self, name: str) -> None:
        self._folder(f"images/{name.rpartition('/')[0]}")
        try:
            os.symlink(f"{self.images}/{name}", f"{self.root}/images/{name}")
        except FileExistsError:
            if not os.path.samefile(f"{self.images}/{name}", f"{self.root}/images/{name}"):
                raise

    def _write(self, name: str, text: str) -> None:
        self._folder(f"labels/{name.rpartition('/')[0]}")
        stem = name.rpartition(".")[0] or name
        file = os.open(f"{self.root}/labels/{stem}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
        try:
            os.write(file, text.encode())
        finally:
            os.close(file)

    def _folder(self, name: str) -> None:
        if name not in self._made:
            os.makedirs(f"{self.root}/{name}", exist_ok=True)
            self._made.add(name)


def _files_below(folder: str) -> set[str]:
    """The files below a folder, by their paths from there."""
    found: set[str] = set()
    for parent, _, files in os.walk(folder):
        below = parent[len(folder) + 1 :]
        found.update(f"{below}/{name}" for name in files) if below else found.update(files)
    return found


@contextmanager
def _without_collection() -> Iterator[None]:
    """Hundreds of thousands of small objects come and none goes: looking for garbage among them takes half the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _plain(name: str) -> bool:
    return isinstance(name, str) and not name.startswith("/") and ".." not in PurePosixPath(name).parts
