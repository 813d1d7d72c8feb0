"""Makes the normal form of a folder whose annotations are in pixels: images, label lines, and what is wrong."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from training.datasets.formats.pixels.objects import BadObject, Thing, line_make
from training.datasets.formats.pixels.spool import Lines
from training.datasets.formats.yolo.description import yaml_text
from training.datasets.images import BadImage, duplicates, image_size
from training.datasets.scan import Problems, Progress, Scan, ScannedImage
from training.storage.store import InvalidKey, key_validate


@dataclass(slots=True)
class Annotated:
    """An image that a file of annotations tells of; `lines` are its label file, `wrong` why it can't be used."""

    name: str
    file: Path | None
    width: int
    height: int
    split: str | None
    lines: Lines
    numbers: list[int] = field(default_factory=list)
    wrong: str = ""

    def add(self, thing: Thing, task: str) -> None:
        """Take an object of it; one that can't be used spoils the image, for it would teach that it is background."""
        if self.wrong:
            return
        try:
            if task != "classification":
                self.lines.add(line_make(thing, task, self.width, self.height))
            self.numbers.append(thing.number)
        except BadObject as error:
            self.wrong = str(error)


@dataclass(slots=True)
class Points:
    """The key points of an object: how many, and each one's partner in a mirrored picture."""

    count: int = 0
    flip_idx: tuple[int, ...] = ()


class PixelScanner:
    """Turns what was annotated into a Scan for one task."""

    def __init__(self, folder: Path, task: str, problems: Problems, progress: Progress | None) -> None:
        self.folder, self.task, self.problems, self.progress = folder, task, problems, progress

    def scan(self, name: str, classes: list[str], annotated: Iterable[Annotated], points: Points) -> Scan:
        """The whole of it; `name` is the format's."""
        every = list(annotated)
        images = list(self._images(every, classes))
        for path, earlier in duplicates([(image.path, image.source) for image in images]):
            self.problems.add(path, f"the same picture as {earlier}")
        split = {f"images/{one.split}": one.split for one in every if one.split}
        shape = (points.count, 3) if self.task == "pose" else None
        metadata = {}
        if self.task != "classification":
            text = yaml_text(classes, split, self.task, shape, points.flip_idx if shape else ())
            metadata["data.yaml"] = text.encode()
        found = Scan(name, self.task, classes, images, split, metadata, self.problems, len(every))
        found.kpt_shape = shape
        return found

    def _images(self, every: list[Annotated], classes: list[str]) -> Iterator[ScannedImage]:
        taken: set[str] = set()
        for done, one in enumerate(every):
            if self.progress:
                self.progress("Checking", done, len(every))
            try:
                image = self._image(one, classes)
            except InvalidKey:
                self.problems.add(one.name, "the platform can't store a file of this name")
            except (BadImage, BadObject) as error:
                self.problems.add(one.name, str(error))
                if isinstance(error, BadObject) and one.file and self._is_inside(one.file):
                    self.problems.show(one.file, one.name, str(error))
            else:
                if image.path in taken or image.label_path in taken:
                    self.problems.add(one.name, f"another image has its place {image.path}")
                    continue
                taken.update([image.path, image.label_path or image.path])
                yield image
        if self.progress:
            self.progress("Checking", len(every), len(every))

    def _image(self, one: Annotated, classes: list[str]) -> ScannedImage:
        path = self._path(one, classes)
        if one.file is None or not self._is_inside(one.file):
            raise BadImage("the image that is annotated is not there (links that lead out are not followed)")
        if one.wrong:
            raise BadObject(one.wrong)
        width, height = image_size(one.file)
        if (one.width, one.height) != (width, height):
            said = f"{one.width} × {one.height}"
            raise BadImage(f"its annotations are for {said} pixels, but it has {width} × {height}")
        image = (path, one.file, width, height, one.split)
        if self.task == "classification":
            return ScannedImage(*image, instances=tuple(one.numbers))
        label = "labels/" + path.removeprefix("images/").rsplit(".", 1)[0] + ".txt"
        return ScannedImage(*image, label_path=label, label_source=one.lines.content, instances=tuple(one.numbers))

    def _is_inside(self, file: Path) -> bool:
        return file.is_file() and file.resolve().is_relative_to(self.folder)

    def _path(self, one: Annotated, classes: list[str]) -> str:
        """The image's place in the normal form; for classification its folder is its class."""
        name = one.name.replace("\\", "/").lstrip("/")
        folders = [one.split] if one.split else []
        if self.task == "classification":
            if len(one.numbers) != 1:
                raise BadObject(f"it has {len(one.numbers)} classes, but one is needed")
            return key_validate("/".join(["images", *folders, classes[one.numbers[0]], name.replace("/", "_")]))
        below = [part for part in name.split("/") if part != "images"]
        below = below[1:] if len(below) > 1 and below[0] == one.split else below
        return key_validate("/".join(["images", *folders, *below]))
