"""Folders for classification: a folder for each class, below train/, val/ and test/ or without a split."""

import os
from collections.abc import Iterator
from pathlib import Path

from training.datasets.formats.yolo.description import description_find
from training.datasets.formats.yolo.layout import SPLIT_NAMES
from training.datasets.images import SUFFIXES, BadImage, duplicates, image_size
from training.datasets.scan import DatasetError, Problems, Progress, Scan, ScannedImage
from training.storage.store import InvalidKey, key_validate

LABEL = "a folder for each class (train/cat/…, val/cat/…, or cat/…, dog/…)"
TASK = "classification"
NOT_CLASSES = {"images", "labels", "annotations"}


def possible(folder: Path) -> bool:
    return recognise(folder)


def recognise(folder: Path) -> bool:
    if description_find(folder) is not None or NOT_CLASSES & {name.lower() for name in _folders(folder)}:
        return False
    tops = _split_folders(folder)
    classes = [place for top in tops for place in _class_folders(top)] if tops else _class_folders(folder)
    if any(place.name.lower() in NOT_CLASSES for place in classes):
        return False
    return len({place.name for place in classes if _has_image(place)}) > 1


def scan(folder: Path, progress: Progress | None = None) -> Scan:
    return _Scanner(folder.resolve(), progress).scan()


class _Scanner:
    """One pass over a folder."""

    def __init__(self, folder: Path, progress: Progress | None) -> None:
        self.folder, self.progress, self.problems = folder, progress, Problems()
        splits = _split_folders(folder)
        self.tops: dict[Path, str | None] = dict(splits) if splits else {folder: None}
        names = {place.name for top in self.tops for place in _class_folders(top)}
        self.classes = sorted(names)  # the order in which frameworks number them
        if len(self.classes) < 2:
            raise DatasetError(f"{folder.name}: classification needs the folders of at least two classes.")

    def scan(self) -> Scan:
        sources = [(split, *found) for top, split in self.tops.items() for found in self._files(top)]
        images = list(self._images(sources))
        for path, earlier in duplicates([(image.path, image.source) for image in images]):
            self.problems.add(path, f"the same picture as {earlier}")
        self._missing_classes(images)
        split = {f"images/{part}": part for part in self.tops.values() if part}
        return Scan("image_folder", TASK, self.classes, images, split, {}, self.problems, len(sources))

    def _files(self, top: Path) -> Iterator[tuple[Path, Path]]:
        """(folder of the class, image) for each file that is called like an image; no link to a folder is followed."""
        for place in _class_folders(top):
            for inner, folders, files in os.walk(place, onerror=_raise):
                folders.sort()
                for name in sorted(files):
                    if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                        yield place, Path(inner, name)

    def _images(self, sources: list[tuple[str | None, Path, Path]]) -> Iterator[ScannedImage]:
        taken: set[str] = set()
        for done, (split, place, source) in enumerate(sources):
            if self.progress:
                self.progress("Checking", done, len(sources))
            try:
                image = self._image(split, place, source)
            except BadImage as error:
                self.problems.add(self._name(source), str(error))
            except InvalidKey:
                self.problems.add(self._name(source), "the platform can't store a file of this name")
            else:
                if image.path in taken:
                    self.problems.add(self._name(source), f"another image has its place {image.path}")
                    continue
                taken.add(image.path)
                yield image
        if self.progress:
            self.progress("Checking", len(sources), len(sources))

    def _image(self, split: str | None, place: Path, source: Path) -> ScannedImage:
        if not source.is_file() or not source.resolve().is_relative_to(self.folder):
            raise BadImage("this is not a file of the folder (links that lead out of it are not followed)")
        parts = ["images", *([split] if split else []), place.name, "_".join(source.relative_to(place).parts)]
        path = key_validate("/".join(parts))
        width, height = image_size(source)
        return ScannedImage(path, source, width, height, split, instances=(self.classes.index(place.name),))

    def _missing_classes(self, images: list[ScannedImage]) -> None:
        """A class that a part of the split lacks is not learned, or not checked."""
        for split in self.tops.values():
            there = {number for image in images if image.split == split for number in image.instances}
            for number, name in enumerate(self.classes):
                if number not in there:
                    self.problems.add(f"{split}/{name}" if split else name, "there is no image of this class")

    def _name(self, file: Path) -> str:
        return file.relative_to(self.folder).as_posix()


def _split_folders(folder: Path) -> dict[Path, str]:
    """The folders called like parts of a split, if train and another are there; a class may be called `test`."""
    found = {folder / name: SPLIT_NAMES[name] for name in _folders(folder) if name in SPLIT_NAMES}
    return found if "train" in found.values() and len(set(found.values())) > 1 else {}


def _class_folders(top: Path) -> list[Path]:
    return [top / name for name in _folders(top)]


def _folders(folder: Path) -> list[str]:
    """The names of the folders in it, without hidden ones and links."""
    with os.scandir(folder) as entries:
        names = [one.name for one in entries if one.is_dir(follow_symlinks=False) and not one.name.startswith(".")]
    return sorted(names)


def _has_image(folder: Path) -> bool:
    return any(
        Path(name).suffix.lower() in SUFFIXES for _, _, files in os.walk(folder, onerror=_raise) for name in files
    )


def _raise(error: OSError) -> None:
    """A folder that can't be listed is not an empty folder."""
    raise error
