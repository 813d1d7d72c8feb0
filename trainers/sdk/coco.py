"""COCO detection annotations turned into a YOLO folder."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

from trainers.sdk.errors import DatasetError


def coco_to_yolo(annotations: Path, images: Path, target: Path) -> Path:
    """Write `target/images` (links), `target/labels` and `classes.txt`, without crowds. Raises DatasetError.

    COCO's category numbers are arbitrary: classes are numbered from 0 in the order of those numbers.
    """
    try:
        data = json.loads(annotations.read_bytes())
        categories = sorted(data["categories"], key=lambda category: category["id"])
        numbers = {category["id"]: number for number, category in enumerate(categories)}
        lines = _lines(data, numbers)
        for image in data["images"]:
            _write(image, lines[image["id"]], images, target)
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise DatasetError(
            f"{annotations.name} is not a COCO detection file: {type(error).__name__}: {error}"
        ) from error
    (target / "classes.txt").write_text("".join(f"{category['name']}\n" for category in categories), encoding="utf-8")
    return target


def _lines(data: dict[str, Any], numbers: dict[int, int]) -> dict[int, list[str]]:
    """The label lines by image; boxes are [left, top, width, height] in pixels, YOLO's are centre and size in 0…1."""
    sizes = {image["id"]: (image["width"], image["height"]) for image in data["images"]}
    lines: dict[int, list[str]] = defaultdict(list)
    for box in data["annotations"]:
        if box.get("iscrowd"):
            continue
        (left, top, width, height), (whole_width, whole_height) = box["bbox"], sizes[box["image_id"]]
        centre = (left + width / 2) / whole_width, (top + height / 2) / whole_height
        values = (*centre, width / whole_width, height / whole_height)
        lines[box["image_id"]].append(f"{numbers[box['category_id']]} " + " ".join(f"{value:.6f}" for value in values))
    return lines


def _write(image: dict[str, Any], lines: list[str], images: Path, target: Path) -> None:
    root, source = target.resolve(), images / image["file_name"]
    link, label = root / "images" / image["file_name"], (root / "labels" / image["file_name"]).with_suffix(".txt")
    if not link.parent.resolve().is_relative_to(root) or not source.is_file():
        raise ValueError(f"{image['file_name']!r} is not an image of the folder")
    link.parent.mkdir(parents=True, exist_ok=True)
    label.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        os.symlink(source.resolve(), link)
    label.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
