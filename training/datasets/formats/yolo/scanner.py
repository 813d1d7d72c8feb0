"""One pass over a YOLO folder, whatever its labels are for: images, their label files, and what is wrong."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from training.datasets.formats.yolo.description import Description, description_read, yaml_text
from training.datasets.formats.yolo.labels import BadLabel, LineKind, label_read
from training.datasets.formats.yolo.layout import Part, layout_find
from training.datasets.images import BadImage, duplicates, image_size
from training.datasets.scan import Problems, Progress, Scan, ScannedImage
from training.storage.store import InvalidKey, key_validate


class Scanner:
    """Reads a folder for one task; `kind_of` tells from data.yaml what a label line must look like.

    Raises DatasetError where data.yaml can't be understood.
    """

    def __init__(
        self, folder: Path, progress: Progress | None, task: str, kind_of: Callable[[Description], LineKind]
    ) -> None:
        self.folder = folder
        self.progress = progress
        self.task = task
        self.problems = Problems()
        self.description: Description = description_read(folder, self.problems)
        self.kind = kind_of(self.description)
        self.parts = layout_find(folder, self.description, self.problems)
        self.labels_used: set[Path] = set()

    def scan(self) -> Scan:
        sources = [(part, source) for part in self.parts for source in part.image_files()]
        images = list(self._images(sources))
        self._orphans()
        for path, earlier in duplicates([(image.path, image.source) for image in images]):
            self.problems.add(path, f"the same picture as {earlier}")
        classes = self._classes(images)
        split = {f"images/{part.split}": part.split for part in self.parts if part.split}
        points = self.description if self.task == "pose" else Description()
        metadata = {"data.yaml": yaml_text(classes, split, self.task, points.kpt_shape, points.flip_idx).encode()}
        found = Scan("yolo", self.task, classes, images, split, metadata, self.problems, len(sources))
        found.kpt_shape = points.kpt_shape
        return found

    def _images(self, sources: list[tuple[Part, Path]]) -> Iterator[ScannedImage]:
        taken: set[str] = set()
        for done, (part, source) in enumerate(sources):
            if self.progress:
                self.progress("Checking", done, len(sources))
            try:
                image = self._image(part, source)
            except (BadImage, BadLabel, InvalidKey) as error:
                if not isinstance(error, BadLabel):  # a label's problems are noted line by line
                    self.problems.add(self._name(source), _reason(error))
                else:
                    self.problems.show(source, self._name(source), self.problems.latest)
                continue
            if image.path in taken:
                self.problems.add(self._name(source), f"another image has its place {image.path}")
                continue
            taken.add(image.path)
            yield image
        if self.progress:
            self.progress("Checking", len(sources), len(sources))

    def _image(self, part: Part, source: Path) -> ScannedImage:
        label = part.label_file(source)
        self.labels_used.add(label)
        path = key_validate(part.normal_path(source))
        if not self._is_inside(source):
            raise BadImage("this is not a file of the folder (links that lead out of it are not followed)")
        width, height = image_size(source)
        image = ScannedImage(path, source, width, height, part.split)
        if not label.exists():
            return image
        if not self._is_inside(label):
            raise BadImage("its label file is no file of the folder (links that lead out of it are not followed)")
        instances = label_read(label, self._name(label), len(self.description.classes), self.problems, self.kind)
        label_path = "labels/" + path.removeprefix("images/").rsplit(".", 1)[0] + ".txt"
        return replace(image, label_path=label_path, label_source=label, instances=instances)

    def _is_inside(self, file: Path) -> bool:
        return file.is_file() and file.resolve().is_relative_to(self.folder)

    def _orphans(self) -> None:
        folders = {part.label_folder() for part in self.parts} - {part.images for part in self.parts}
        for folder in sorted(folders):
            for label in sorted(folder.rglob("*.txt")):
                if label not in self.labels_used and label.name != "classes.txt" and not label.name.startswith("."):
                    self.problems.add(self._name(label), "no image belongs to this label file")

    def _classes(self, images: list[ScannedImage]) -> list[str]:
        if self.description.classes:
            return self.description.classes
        highest = max((number for image in images for number in image.instances), default=-1)
        return [f"class_{number}" for number in range(highest + 1)]

    def _name(self, file: Path) -> str:
        return file.relative_to(self.folder).as_posix()


def _reason(error: Exception) -> str:
    return "the platform can't store a file of this name" if isinstance(error, InvalidKey) else str(error)
