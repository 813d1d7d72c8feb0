"""COCO folders for detection: JSON files with images, annotations and categories, read for their boxes."""

from pathlib import Path

from training.datasets.formats.pixels.coco import coco_scan, documents_find, fits
from training.datasets.scan import Progress, Scan

LABEL = "COCO with boxes (a JSON file with images, annotations, categories)"
TASK = "detection"


def possible(folder: Path) -> bool:
    return bool(documents_find(folder))


def recognise(folder: Path) -> bool:
    return fits(folder, TASK)


def scan(folder: Path, progress: Progress | None = None) -> Scan:
    return coco_scan(folder, TASK, "coco", progress)
