"""What reading a dataset folder gives: its images and labels, and every problem as a sentence."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROBLEMS_KEPT = 100
OFFENDERS_KEPT = 24
# What a problem is, by the words of its sentence; the first that fits counts.
KINDS = {
    "copies": re.compile(r"^the same picture as"),
    "names": re.compile(r"only in case|a file of this name|has its place"),
    "ids": re.compile(r"^its id .* belongs"),
    "orphaned": re.compile(r"^no image belongs|for images that it does not list|no list in ImageSets"),
    "missing": re.compile(r"is not there|^missing|there is no image"),
    "outside": re.compile(r"outside"),
    "sizes": re.compile(r"has no size|no area|is no polygon|annotations are for"),
    "classes": re.compile(r"\bclass\b|\bclasses\b"),
    "corrupt": re.compile(r"damaged|not an image|pixels|can't be read|not a text file|not a file of the folder"),
}
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028-\u202e\u2066-\u2069]")
SPLITS = ("train", "val", "test")

# Called as progress(what, done, total): what is being done, and how far it is.
Progress = Callable[[str, int, int], None]
# The file itself, its content, or what gives its content when it is asked for.
LabelSource = Path | bytes | Callable[[], bytes]


class DatasetError(ValueError):
    """The data can't be trained on; the message says why and names the file. `report` holds what was found."""

    def __init__(self, message: str, report: dict[str, Any] | None = None) -> None:
        super().__init__(plain(message))
        self.report = report or {}


@dataclass(frozen=True, slots=True)
class Offender:
    """A picture that was left out, and why, for people to look at."""

    source: Path
    file: str
    text: str


@dataclass(slots=True)
class Problems:
    """The problems of a folder: all are counted, also by their kinds, and the first 100 are kept."""

    sentences: list[str] = field(default_factory=list)
    count: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    offenders: list[Offender] = field(default_factory=list)
    latest: str = ""  # the newest sentence, kept or not

    def add(self, file: str, text: str, line: int | None = None) -> None:
        """Note what is wrong with `file`, given as its path within the folder."""
        self.count += 1
        self.kinds[next((kind for kind, words in KINDS.items() if words.search(text)), "other")] += 1
        self.latest = plain(f"{file} line {line}: {text}" if line else f"{file}: {text}")
        if len(self.sentences) < PROBLEMS_KEPT:
            self.sentences.append(self.latest)

    def show(self, source: Path, file: str, text: str) -> None:
        """Keep a picture that can't be used, if there are not enough already."""
        if len(self.offenders) < OFFENDERS_KEPT:
            self.offenders.append(Offender(source, plain(file), plain(text)))


@dataclass(frozen=True, slots=True)
class ScannedImage:
    """A usable image, with its label file where it has one.

    `path` and `label_path` are where the two go in the dataset's normal form;
    `instances` holds the class numbers of the objects in it.
    """

    path: str
    source: Path
    width: int
    height: int
    split: str | None
    label_path: str | None = None
    label_source: LabelSource | None = None  # not a path where the labels were converted
    instances: tuple[int, ...] = ()


@dataclass(slots=True)
class Scan:
    """All that was found in a folder. `split` names the part of each folder of the normal form."""

    format: str
    task_type: str
    classes: list[str]
    images: list[ScannedImage]
    split: dict[str, str]
    metadata: dict[str, bytes]
    problems: Problems
    found: int = 0  # image files, usable or not
    kpt_shape: tuple[int, int] | None = None  # key points of an object, and numbers of each
    findings: dict[str, Any] = field(default_factory=dict)  # what the report tells besides
    pictures: list[bytes] = field(default_factory=list)  # small JPEGs of what was left out

    def files(self) -> Iterator[tuple[str, Path | bytes]]:
        """Every file of the normal form, once, with where its bytes are."""
        yield from self.metadata.items()
        labels = {image.label_path: image.label_source for image in self.images if image.label_path}
        for path, source in labels.items():
            if path and source is not None:
                yield path, source() if callable(source) else source
        for image in self.images:
            yield image.path, image.source

    def file_count(self) -> int:
        """How many `files` gives."""
        labels = {image.label_path for image in self.images if image.label_path and image.label_source is not None}
        return len(self.metadata) + len(labels) + len(self.images)

    def report(self) -> dict[str, Any]:
        """What was found and what is wrong, ready for JSON and for people."""
        labelled = sum(1 for image in self.images if image.instances)
        by_folder = self.task_type == "classification"  # an image's folder is its label
        points = {"kpt_shape": list(self.kpt_shape)} if self.kpt_shape else {}
        return points | {
            "format": self.format,
            "task_type": self.task_type,
            "images": len(self.images),
            "labelled": labelled,
            "background": len(self.images) - labelled,
            "missing_labels": 0 if by_folder else sum(1 for image in self.images if not image.label_path),
            "left_out": self.found - len(self.images),
            "instances": sum(len(image.instances) for image in self.images),
            "splits": dict(Counter(image.split or "all" for image in self.images)),
            "classes": self._classes(),
            "image_sizes": self._sizes(),
            "problems": self.problems.sentences,
            "problem_count": self.problems.count,
            "problem_kinds": dict(self.problems.kinds.most_common()),
            **self.findings,
        }

    def _classes(self) -> list[dict[str, Any]]:
        counts: dict[str, Counter[int]] = {}
        for image in self.images:
            counts.setdefault(image.split or "all", Counter()).update(image.instances)
        return [
            {"name": name, "instances": {split: counts[split][number] for split in sorted(counts)}}
            for number, name in enumerate(self.classes)
        ]

    def _sizes(self) -> dict[str, list[int]]:
        sizes = sorted((image.width * image.height, image.width, image.height) for image in self.images)
        return {"smallest": list(sizes[0][1:]), "largest": list(sizes[-1][1:])} if sizes else {}


def label_bytes(source: LabelSource) -> bytes:
    """The content of a label file, wherever it is."""
    if callable(source):
        return source()
    return source if isinstance(source, bytes) else source.read_bytes()


def plain(text: str) -> str:
    """`text` in one line that every database and page takes: no controls, half surrogates or turned writing."""
    return UNPRINTABLE.sub("\ufffd", text)
