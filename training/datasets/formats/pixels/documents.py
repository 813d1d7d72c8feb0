"""JSON documents of annotations, as COCO and DICE write them, read as a stream: half a gigabyte takes little memory."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import ijson

from training.datasets.formats.pixels.masks import BadMask, mask_outlines, mask_read
from training.datasets.formats.pixels.objects import BadObject, Thing
from training.datasets.formats.pixels.scanner import Annotated, Points
from training.datasets.formats.pixels.spool import Lines, Spool
from training.datasets.formats.yolo.layout import SPLIT_NAMES
from training.datasets.scan import DatasetError, Problems, plain

SAMPLE = 256 * 1024  # bytes of the beginning and of the end that are looked at to recognise a file
MAX_CLASSES = 10_000
OBJECT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Words:
    """What a family of documents calls things."""

    classes: str
    class_id: str
    outline: str


class Guarded:
    """A file for ijson, which builds one object at a time: none may be so large that it fills the memory."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.file, self.name, self.open_bytes = file, name, 0

    def read(self, size: int) -> bytes:
        data = self.file.read(size)
        end = data.rfind(b"}")  # at the latest here the last object has ended
        self.open_bytes = self.open_bytes + len(data) if end < 0 else len(data) - end
        if self.open_bytes > OBJECT_BYTES:
            raise DatasetError(f"{self.name}: an object in it is larger than {OBJECT_BYTES >> 20} MiB.")
        return data


@dataclass(frozen=True, slots=True)
class Document:
    """One file, and the part of the split that its name tells."""

    file: Path
    split: str | None

    def sample(self) -> str:
        """Its beginning and its end."""
        with self.file.open("rb") as opened:
            start = opened.read(SAMPLE)
            opened.seek(max(len(start), os.fstat(opened.fileno()).st_size - SAMPLE))
            return (start + b"\n" + opened.read(SAMPLE)).decode("utf-8", "replace")

    def items(self, key: str) -> Iterator[dict[str, Any]]:
        """The objects in the list `key`, one at a time. Raises DatasetError where the JSON is none."""
        try:
            with self.file.open("rb") as opened:
                for item in ijson.items(Guarded(opened, self.file.name), f"{key}.item", use_float=True):
                    if isinstance(item, dict):
                        yield item
        except (ijson.JSONError, UnicodeDecodeError) as error:
            raise DatasetError(f"{self.file.name} is not whole JSON: {error}.") from error


def split_of(name: str) -> str | None:
    """The part that a file's name tells, such as instances_val2017.json."""
    words = re.findall(r"[a-z]+", name.lower())
    return next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), None)


class Reader:
    """Reads the documents of a folder for one task into images with their label lines."""

    def __init__(self, folder: Path, documents: list[Document], words: Words, task: str, problems: Problems) -> None:
        self.folder, self.documents, self.words, self.task, self.problems = folder, documents, words, task, problems
        self.points, self.spool = Points(), Spool()
        self._numbers: dict[Any, int] = {}
        self.classes = self._classes()

    def annotated(self) -> list[Annotated]:
        """All images, with what is annotated on each."""
        return [one for document in self.documents for one in self._read(document)]

    def _classes(self) -> list[str]:
        """The names in order of their ids, which may be any numbers: ours are 0 … n-1."""
        found: dict[Any, dict[str, Any]] = {}
        for document in self.documents:
            for item in document.items(self.words.classes):
                earlier = found.setdefault(item.get("id"), item)
                if earlier.get("name") != item.get("name"):
                    names = f"{earlier.get('name')} and {item.get('name')}"
                    raise DatasetError(f"{document.file.name}: class {item.get('id')} is called {names}.")
        if not found or len(found) > MAX_CLASSES or not all(isinstance(key, int) for key in found):
            raise DatasetError(
                f"{self.folder.name}: {self.words.classes} must be 1 to {MAX_CLASSES:,}, with numbers as ids."
            )
        ordered = sorted(found)
        self._numbers = {key: number for number, key in enumerate(ordered)}
        if self.task == "pose":
            self.points = _points([found[key] for key in ordered], self.folder.name)
        return [plain(str(found[key].get("name", "")).strip())[:100] or f"class_{key}" for key in ordered]

    def _read(self, document: Document) -> list[Annotated]:
        images = self._images(document)
        orphans = 0
        for item in document.items("annotations"):
            image = images.get(item.get("image_id"))
            if image is None:
                orphans += 1
            elif not item.get("iscrowd"):  # a crowd is no object, and COCO's own evaluation leaves it out
                self._take(image, item)
        if orphans:
            self.problems.add(document.file.name, f"{orphans} annotations are for images that it does not list")
        return list(images.values())

    def _images(self, document: Document) -> dict[Any, Annotated]:
        images: dict[Any, Annotated] = {}
        for item in document.items("images"):
            name, key = str(item.get("file_name", "")), item.get("id")
            if key in images:
                self.problems.add(name, f"its id {key} belongs to {images[key].name} as well; this one is left out")
                continue
            split = SPLIT_NAMES.get(str(item.get("split", "")).lower(), document.split)
            size = [int(item[side]) if isinstance(item.get(side), int | float) else 0 for side in ("width", "height")]
            images[key] = Annotated(name, self._find(document, name, split), size[0], size[1], split, Lines(self.spool))
        return images

    def _find(self, document: Document, name: str, split: str | None) -> Path | None:
        """Where the image lies, as COCO, Roboflow and others lay out their folders; only within the folder."""
        suffix = document.file.stem.rsplit("_", 1)[-1]  # instances_train2017.json is about train2017/
        parts = [one for one in (split, suffix) if one]
        places = [document.file.parent, self.folder / "images", self.folder]
        places += [top / part for top in (self.folder / "images", self.folder) for part in parts]
        places += [self.folder / part / "images" for part in parts]
        for place in places:
            try:
                found = (place / name).resolve()
                if found.is_relative_to(self.folder) and found.is_file():
                    return found
            except (OSError, ValueError):  # a name of any length or content
                return None
        return None

    def _take(self, image: Annotated, item: dict[str, Any]) -> None:
        key = item.get(self.words.class_id)
        if key not in self._numbers:
            image.wrong = image.wrong or f"class {key} is not in {self.words.classes}"
            return
        try:
            image.add(self._thing(self._numbers[key], item), self.task)
        except (BadObject, BadMask, TypeError, ValueError, OverflowError) as error:
            known = isinstance(error, BadObject | BadMask)
            image.wrong = image.wrong or (str(error) if known else "an annotation holds something that is no number")

    def _thing(self, number: int, item: dict[str, Any]) -> Thing:
        if self.task == "segmentation":
            return Thing(number, polygons=outlines_of(item.get(self.words.outline)))
        if self.task == "classification":
            return Thing(number)
        left, top, width, height = (
            (float(value) for value in item["bbox"]) if len(item.get("bbox") or ()) == 4 else NONE
        )
        if self.task == "detection":
            return Thing(number, (left, top, width, height))
        values = [float(value) for value in item.get("keypoints") or [0.0] * 3 * self.points.count]
        if len(values) != 3 * self.points.count:
            raise BadObject(f"an object has {len(values)} numbers of key points, not {3 * self.points.count}")
        points = tuple((values[i], values[i + 1], int(values[i + 2])) for i in range(0, len(values), 3))
        return Thing(number, (left, top, width, height), points=points)


NONE = (0.0, 0.0, 0.0, 0.0)


def outlines_of(told: Any) -> tuple[tuple[float, ...], ...]:
    """The polygons of a COCO segmentation (lists of numbers, or an RLE), or of one polygon, flat or in pairs."""
    if isinstance(told, dict):
        return tuple(mask_outlines(mask_read(told.get("size") or (), told.get("counts") or ())))
    if not isinstance(told, list) or not told:
        return ()
    if not isinstance(told[0], list):
        return (tuple(float(value) for value in told),)
    if len(told) > 2 and all(isinstance(pair, list) and len(pair) == 2 for pair in told):
        return (tuple(float(value) for pair in told for value in pair),)
    return tuple(tuple(float(value) for value in polygon) for polygon in told)


def _points(classes: list[dict[str, Any]], folder: str) -> Points:
    """The key points of the classes, which have to be the same; left_… and right_… are partners in a mirror."""
    names = next((list(map(str, one["keypoints"])) for one in classes if one.get("keypoints")), [])
    if not names or any(one.get("keypoints") not in (None, [], names) for one in classes):
        raise DatasetError(f"{folder}: the classes must have the same key points, named in their list `keypoints`.")
    mirrored = [re.sub(r"left|right", lambda found: "right" if found[0] == "left" else "left", name) for name in names]
    flip = tuple(names.index(name) if name in names else place for place, name in enumerate(mirrored))
    return Points(len(names), flip if sorted(flip) == list(range(len(names))) else ())
