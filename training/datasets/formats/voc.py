"""Pascal VOC folders: Annotations/ with an XML file for each image, JPEGImages/, and perhaps ImageSets/Main/."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from training.datasets.formats.pixels.objects import Thing
from training.datasets.formats.pixels.scanner import Annotated, PixelScanner, Points
from training.datasets.formats.pixels.spool import Lines, Spool
from training.datasets.formats.yolo.layout import SPLIT_NAMES
from training.datasets.images import SUFFIXES
from training.datasets.scan import DatasetError, Problems, Progress, Scan, plain

LABEL = "Pascal VOC (Annotations/*.xml and JPEGImages/)"
TASK = "detection"
MAX_BYTES = 1024 * 1024
IMAGES = ("JPEGImages", "images", "Images", ".")
Box = tuple[str, tuple[float, float, float, float]]


def possible(folder: Path) -> bool:
    return recognise(folder)


def recognise(folder: Path) -> bool:
    place = folder / "Annotations"
    return place.is_dir() and next(place.glob("*.xml"), None) is not None


def scan(folder: Path, progress: Progress | None = None) -> Scan:
    folder, problems = folder.resolve(), Problems()
    parts = _parts(folder)
    found = list(_annotations(folder, parts, problems))
    classes = sorted({name for _, boxes in found for name, _ in boxes})
    if not classes:
        raise DatasetError(f"{folder.name}: no file in Annotations/ has an object in it.")
    numbers = {name: number for number, name in enumerate(classes)}
    for image, boxes in found:
        for name, box in boxes:
            image.add(Thing(numbers[name], box), TASK)
    return PixelScanner(folder, TASK, problems, progress).scan("voc", classes, [one for one, _ in found], Points())


def _annotations(folder: Path, parts: dict[str, str], problems: Problems) -> Iterator[tuple[Annotated, list[Box]]]:
    spool = Spool()
    for file in sorted((folder / "Annotations").glob("*.xml")):
        name = f"Annotations/{file.name}"
        try:
            if not file.resolve().is_relative_to(folder) or file.stat().st_size > MAX_BYTES:
                raise ValueError("it is larger than 1 MiB, or a link out of the folder")
            yield _read(folder, file, parts, spool)
        except (ElementTree.ParseError, ValueError, OverflowError, OSError) as error:
            problems.add(name, f"it can't be read ({error})")


def _read(folder: Path, file: Path, parts: dict[str, str], spool: Spool) -> tuple[Annotated, list[Box]]:
    text = file.read_bytes()
    if b"<!ENTITY" in text or b"<!DOCTYPE" in text:
        raise ValueError("it declares entities, which no annotation needs")
    root = ElementTree.fromstring(text)
    name = (root.findtext("filename") or "").strip().replace("\\", "/").rsplit("/", 1)[-1] or f"{file.stem}.jpg"
    width, height = (int(float(root.findtext(f"size/{side}") or 0)) for side in ("width", "height"))
    part = parts.get(file.stem) if parts else None
    image = Annotated(name, _image(folder, name, file.stem), width, height, part, Lines(spool))
    if parts and file.stem not in parts:
        image.wrong = "no list in ImageSets/Main names it"
    return image, [_box(one) for one in root.iter("object")]


def _box(one: ElementTree.Element) -> Box:
    """VOC counts pixels from 1, and the last one belongs to the box: (1, W) is the whole width."""
    left, top, right, bottom = (
        float(one.findtext(f"bndbox/{side}") or "nan") for side in ("xmin", "ymin", "xmax", "ymax")
    )
    name = plain((one.findtext("name") or "").strip())[:100]
    if not name:
        raise ValueError("an object has no name")
    left, top = left - 1, top - 1
    return name, (left, top, right - left, bottom - top)


def _image(folder: Path, name: str, stem: str) -> Path | None:
    names = [name, *(f"{stem}{suffix}" for suffix in sorted(SUFFIXES))]
    found = (folder / place / one for one in names for place in IMAGES)
    return next((file.resolve() for file in found if file.is_file()), None)


def _parts(folder: Path) -> dict[str, str]:
    """The part of each image, by its name without ending; nothing unless both training and validation are listed."""
    lists = {
        SPLIT_NAMES[file.stem]: file
        for file in (folder / "ImageSets" / "Main").glob("*.txt")
        if file.stem in SPLIT_NAMES
    }
    if not {"train", "val"} <= set(lists):
        return {}
    lines = ((part, line.split()) for part, file in lists.items() for line in file.read_text("utf-8-sig").splitlines())
    return {words[0]: part for part, words in lines if words}
