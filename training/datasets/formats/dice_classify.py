"""DICE folders for classification: images/ and annotations_classification.json."""

from pathlib import Path

from training.datasets.formats.pixels.dice import dice_file, dice_scan
from training.datasets.scan import Progress, Scan

LABEL = "DICE (images/ and annotations_classification.json)"
TASK = "classification"


def possible(folder: Path) -> bool:
    return recognise(folder)


def recognise(folder: Path) -> bool:
    return dice_file(folder, TASK) is not None


def scan(folder: Path, progress: Progress | None = None) -> Scan:
    return dice_scan(folder, TASK, "dice_classify", progress)
