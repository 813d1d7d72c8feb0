"""Where a YOLO folder keeps the images and labels of each part of its split."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training.datasets.formats.yolo.description import Description
from training.datasets.images import SUFFIXES
from training.datasets.scan import DatasetError, Problems

SPLIT_NAMES = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True, slots=True)
class Part:
    """A folder of images, all of one part of the split, or of no part."""

    folder: Path
    images: Path
    split: str | None

    def image_files(self) -> Iterator[Path]:
        """The files that are called like images, in order of their paths; no link to a folder is followed."""
        for place, folders, files in os.walk(self.images, onerror=_raise):
            folders.sort()
            for name in sorted(files):
                if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                    yield Path(place, name)

    def label_file(self, image: Path) -> Path:
        """Where YOLO looks for the image's labels."""
        return self._labels(image.parent) / f"{image.stem}.txt"

    def label_folder(self) -> Path:
        return self._labels(self.images)

    def has_labels(self) -> bool:
        """Whether there is a folder of labels, or a text file beside the images."""
        place = self.label_folder()
        return place.is_dir() if place != self.images else next(place.glob("*.txt"), None) is not None

    def normal_path(self, image: Path) -> str:
        """The image's place in the normal form: images/{split}/…, or images/… without a split."""
        below = [name for name in image.relative_to(self.images).parts if name != "images"]
        return "/".join(["images", *([self.split] if self.split else []), *below])

    def _labels(self, place: Path) -> Path:
        """The last folder called `images` becomes `labels`; without one, labels lie beside the images."""
        names = list(place.relative_to(self.folder).parts)
        if "images" in names:
            names[len(names) - 1 - names[::-1].index("images")] = "labels"
        return self.folder.joinpath(*names)


def layout_find(folder: Path, description: Description, problems: Problems) -> list[Part]:
    """The parts that data.yaml names, else those that folder names show; DatasetError for a folder that is missing."""
    if not description.folders:
        parts = layout_guess(folder)
        _stray_images(folder, parts, problems)
        return parts
    return [
        Part(folder, _locate(folder, description, split, name), split)
        for split, names in description.folders.items()
        for name in names
    ]


def layout_guess(folder: Path) -> list[Part]:
    """images/train and so on, or train/images and so on, or just images/; nothing where none of them has labels.

    Other formats keep their images in such folders too, and their annotations elsewhere.
    """
    found = []
    for name, split in SPLIT_NAMES.items():
        for place in (folder / "images" / name, folder / name / "images"):
            if place.is_dir() and place.resolve().is_relative_to(folder.resolve()):
                found.append(Part(folder, place, split))
    flat = folder / "images"
    if not found and flat.is_dir() and flat.resolve().is_relative_to(folder.resolve()):
        found.append(Part(folder, flat, None))
    return found if any(part.has_labels() for part in found) else []


def _locate(folder: Path, description: Description, split: str, name: str) -> Path:
    """The folder that data.yaml means, looked for as Ultralytics and Roboflow write it, and only within `folder`."""
    below = name.removeprefix("./")
    while below.startswith("../"):
        below = below.removeprefix("../")
    for place in (folder / description.base / name, folder / name, folder / below):
        if os.path.isdir(place) and place.resolve().is_relative_to(folder):  # a name of any length or content
            return place.resolve()
    raise DatasetError(f"{description.file}: {split} is {name}, but there is no such folder in {folder.name}.")


def _raise(error: OSError) -> None:
    """A folder that can't be listed is not an empty folder."""
    raise error


def _stray_images(folder: Path, parts: list[Part], problems: Problems) -> None:
    if any(part.split and part.images.parent == folder / "images" for part in parts):
        stray = [file for file in (folder / "images").iterdir() if file.suffix.lower() in SUFFIXES]
        if stray:
            problems.add("images", f"images that lie beside the folders of the split are left out ({len(stray)})")
