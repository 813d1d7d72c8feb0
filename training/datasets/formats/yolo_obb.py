"""YOLO folders for rotated boxes: as for detection, but each label line has the four corners of a box."""

from collections.abc import Sequence
from pathlib import Path

from training.datasets.formats.yolo.kinds import folder_looks_right, task_guess
from training.datasets.formats.yolo.labels import LineKind, corners_wrong
from training.datasets.formats.yolo.scanner import Scanner
from training.datasets.scan import Progress, Scan

LABEL = "YOLO OBB (each line class x1 y1 x2 y2 x3 y3 x4 y4)"
TASK = "obb"


def possible(folder: Path) -> bool:
    return folder_looks_right(folder)


def recognise(folder: Path) -> bool:
    return possible(folder) and TASK in task_guess(folder)


def scan(folder: Path, progress: Progress | None = None) -> Scan:
    return Scanner(folder.resolve(), progress, TASK, lambda _: CORNERS).scan()


def _columns_wrong(count: int) -> str:
    return "" if count == 9 else f"{count} fields, but a rotated box has 9: class x1 y1 x2 y2 x3 y3 x4 y4"


def _wrong(place: Sequence[float]) -> str:
    return corners_wrong(place, "box")


CORNERS = LineKind(_columns_wrong, _wrong)
