"""The pictures of a dataset, for people to look through: which there are, in which split, with what on them."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from training.datasets.roles import file_role, label_path
from training.datasets.split import split_own
from training.models import Dataset
from training.storage.store import ObjectMissing, Store, external_store, internal_store

MAX_LABEL = 10 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Picture:
    """One image; `classes` holds the class number of each object on it, `split` is empty where there is none."""

    number: int
    path: str
    split: str
    classes: tuple[int, ...]


Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """An object: its class, its corners as shares of the image's width and height, and its key points likewise."""

    number: int
    points: Points
    dots: Points = ()


@dataclass(frozen=True, slots=True)
class Labels:
    """How a dataset's labels are to be read."""

    task_type: str
    classes: tuple[str, ...]
    numbers: int  # of each key point: x, y, and perhaps whether it is visible

    @classmethod
    def of(cls, dataset: Dataset) -> "Labels":
        shape = dataset.report.get("kpt_shape") or [0, 3]
        return cls(dataset.task_type, tuple(dataset.classes), int(shape[1]))


def pictures_all(dataset: Dataset) -> tuple[Picture, ...]:
    """Every picture in order of its path, read from the labels once and kept: the data of a dataset never change."""
    try:
        urls = internal_store().url, external_store().url
        return _pictures(*urls, dataset.prefix, json.dumps(dataset.split), Labels.of(dataset))
    except ObjectMissing:
        return ()


def pictures_find(dataset: Dataset, split: str = "", number: int | None = None) -> list[Picture]:
    """The pictures of a split on which there is an object of the class `number`; without them, all."""
    found = (one for one in pictures_all(dataset) if not split or one.split == split)
    return [one for one in found if number is None or number in one.classes]


def picture_shapes(dataset: Dataset, picture: Picture) -> list[Shape]:
    """The objects on a picture, as its label file has them now; none where it has no label."""
    return list(_shapes(external_store(), f"{dataset.prefix}/{label_path(picture.path)}", Labels.of(dataset)))


def pictures_key(prefix: str) -> str:
    """Below this key of the internal store lies all that was made for looking at a dataset."""
    return f"pictures/{prefix.rsplit('/', 1)[-1]}"


def offender_key(dataset: Dataset, number: int) -> str:
    """Where the small JPEG of a picture lies that the import left out, counted from 0 as in the report."""
    return f"{pictures_key(dataset.prefix)}/left-out-{number}.jpg"


def pictures_by_path(dataset: Dataset) -> dict[str, Picture]:
    """Every picture under its path."""
    return {picture.path: picture for picture in pictures_all(dataset)}


@lru_cache(maxsize=4)
def _pictures(internal: str, external: str, prefix: str, split: str, labels: Labels) -> tuple[Picture, ...]:
    key = f"{pictures_key(prefix)}/index.json.gz"
    if internal_store().stat(key) is None:
        rows = list(_rows(prefix, json.loads(split), labels))
        if not rows:  # nothing is kept then: the store may only be away
            raise ObjectMissing(f"There are no images below {prefix}.")
        internal_store().put(key, gzip.compress(json.dumps(rows).encode(), 6, mtime=0))
    rows = json.loads(gzip.decompress(internal_store().get(key)))
    return tuple(Picture(number, path, part, tuple(classes)) for number, (path, part, classes) in enumerate(rows))


def _rows(prefix: str, split: dict[str, str], labels: Labels) -> Iterator[tuple[str, str, list[int]]]:
    store = external_store()
    paths = [stored.key.removeprefix(f"{prefix}/") for stored in store.list(prefix)]
    images, there = [path for path in paths if file_role(path) == "image"], set(paths)
    parts = split_own(images, split) if split else {}
    for path in images:
        if labels.task_type == "classification":
            name = path.split("/")[-2]  # its folder is its label
            yield path, parts.get(path, ""), [labels.classes.index(name)] if name in labels.classes else []
            continue
        label = label_path(path)
        shapes = _shapes(store, f"{prefix}/{label}", labels) if label in there else ()
        yield path, parts.get(path, ""), [shape.number for shape in shapes]


def _shapes(store: Store, key: str, labels: Labels) -> Iterator[Shape]:
    """The objects of a label file; lines that are none are passed over, an import has named them."""
    stored = store.stat(key)
    if stored is None or stored.size > MAX_LABEL:
        return
    for line in store.get(key).decode("utf-8-sig", "replace").splitlines():
        try:
            number, *values = (float(field) for field in line.split())
            dots: Points = ()
            if labels.task_type == "pose":
                values, dots = values[:4], _dots(values[4:], labels.numbers)
            yield Shape(int(number), tuple(_points(values)), dots)
        except (ValueError, OverflowError):
            continue


def _dots(values: list[float], numbers: int) -> Points:
    """The key points that are labelled: those whose third number, where there is one, is not 0."""
    points = [values[start : start + numbers] for start in range(0, len(values), numbers)]
    return tuple((point[0], point[1]) for point in points if len(point) == numbers and (numbers < 3 or point[2]))


def _points(values: list[float]) -> Iterator[tuple[float, float]]:
    """A box from its middle and size; or, with more values, the corners of a polygon. ValueError for neither."""
    if len(values) == 4:
        x, y, width, height = values
        left, right, top, bottom = x - width / 2, x + width / 2, y - height / 2, y + height / 2
        yield from ((left, top), (right, top), (right, bottom), (left, bottom))
    elif len(values) >= 6 and not len(values) % 2:
        yield from zip(values[::2], values[1::2], strict=True)
    else:
        raise ValueError("neither a box nor a polygon")
