"""COCO folders for segmentation: JSON files with images, annotations and categories: polygons or masks."""

from pathlib import Path

from training.datasets.formats.pixels.coco import coco_scan, documents_find, fits
from training.datasets.scan import Progress, Scan

LABEL = "COCO with polygons or masks (a JSON file with images, annotations, categories)"
TASK = "segmentation"


def possible(folder: Path) -> bool:
    return bool(documents_find(folder))


def recognise(folder: Path) -> bool:
    return fits(folder, TASK)


def scan(folder: Path, progress: Progress | None = None) -> Scan:
    return coco_scan(folder, TASK, "coco_segment", progress)
