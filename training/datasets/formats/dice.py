"""DICE folders for detection: images/ and annotations_detection.json."""

from pathlib import Path

from training.datasets.formats.pixels.dice import dice_file, dice_scan
from training.datasets.scan import Progress, Scan

LABEL = "DICE (images/ and annotations_detection.json)"
TASK = "detection"


def possible(folder: Path) -> bool:
    return recognise(folder)


def recognise(folder: Path) -> bool:
    return dice_file(folder, TASK) is not None


def scan(folder: Path, progress: Progress | None = None) -> Scan:
    return dice_scan(folder, TASK, "dice", progress)
