"""YOLO folders for detection: data.yaml, images/ and labels/, one text line per box."""

from pathlib import Path

from training.datasets.formats.yolo.kinds import folder_looks_right, task_guess
from training.datasets.formats.yolo.labels import BOX
from training.datasets.formats.yolo.scanner import Scanner
from training.datasets.scan import Progress, Scan

LABEL = "YOLO (data.yaml, or images/ and labels/)"
TASK = "detection"


def possible(folder: Path) -> bool:
    return folder_looks_right(folder)


def recognise(folder: Path) -> bool:
    return possible(folder) and TASK in task_guess(folder)


def scan(folder: Path, progress: Progress | None = None) -> Scan:
    return Scanner(folder.resolve(), progress, TASK, lambda _: BOX).scan()
