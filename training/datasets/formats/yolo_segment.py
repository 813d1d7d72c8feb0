"""YOLO folders for segmentation: as for detection, but each label line is a polygon."""

from collections.abc import Sequence
from pathlib import Path

from training.datasets.formats.yolo.kinds import folder_looks_right, task_guess
from training.datasets.formats.yolo.labels import LineKind, corners_wrong
from training.datasets.formats.yolo.scanner import Scanner
from training.datasets.scan import Progress, Scan

LABEL = "YOLO segmentation (each line class x1 y1 x2 y2 x3 y3 …)"
TASK = "segmentation"


def possible(folder: Path) -> bool:
    return folder_looks_right(folder)


def recognise(folder: Path) -> bool:
    return possible(folder) and TASK in task_guess(folder)


def scan(folder: Path, progress: Progress | None = None) -> Scan:
    return Scanner(folder.resolve(), progress, TASK, lambda _: POLYGON).scan()


def _columns_wrong(count: int) -> str:
    if count >= 7 and count % 2:
        return ""
    return f"{count} fields, but a polygon has its class and at least 3 corners: class x1 y1 x2 y2 x3 y3"


def _wrong(place: Sequence[float]) -> str:
    return corners_wrong(place, "polygon")


POLYGON = LineKind(_columns_wrong, _wrong)
