"""YOLO folders for key points: each label line is a box, then the points that data.yaml's kpt_shape tells of."""

from collections.abc import Sequence
from pathlib import Path

from training.datasets.formats.yolo.description import Description
from training.datasets.formats.yolo.kinds import folder_looks_right, task_guess
from training.datasets.formats.yolo.labels import LineKind, box_wrong, outside
from training.datasets.formats.yolo.scanner import Scanner
from training.datasets.scan import DatasetError, Progress, Scan

LABEL = "YOLO pose (kpt_shape in data.yaml, each line a box and its key points)"
TASK = "pose"
HIDDEN, VISIBLE = 1, 2  # 0: not labelled


def possible(folder: Path) -> bool:
    return folder_looks_right(folder)


def recognise(folder: Path) -> bool:
    return possible(folder) and TASK in task_guess(folder)


def scan(folder: Path, progress: Progress | None = None) -> Scan:
    scanner = Scanner(folder.resolve(), progress, TASK, _kind_of)
    if not scanner.description.flip_idx:
        scanner.problems.add(scanner.description.file, "it has no flip_idx, so pictures are not mirrored in training")
    return scanner.scan()


def _kind_of(description: Description) -> LineKind:
    if description.kpt_shape is None:
        file = description.file or "data.yaml"
        raise DatasetError(f"{file}: key points need kpt_shape: [number of key points, 2 or 3], such as [17, 3].")
    count, numbers = description.kpt_shape
    whole = 5 + count * numbers

    def columns_wrong(fields: int) -> str:
        if fields == whole:
            return ""
        return f"{fields} fields, but a box with {count} key points of {numbers} numbers has {whole}"

    def wrong(place: Sequence[float]) -> str:
        points = [place[start : start + numbers] for start in range(4, len(place), numbers)]
        found = (_point_wrong(number, point) for number, point in enumerate(points))
        return box_wrong(place[:4]) or next(filter(None, found), "")

    return LineKind(columns_wrong, wrong)


def _point_wrong(number: int, point: Sequence[float]) -> str:
    """A point has x and y, and where there is a third number, whether it is not labelled, hidden or visible."""
    if len(point) == 3 and point[2] not in (0, HIDDEN, VISIBLE):
        return f"key point {number} has visibility {point[2]:g}, which is none of 0, 1 and 2"
    if len(point) == 3 and point[2] == 0:
        return ""  # whatever its place says
    for axis, value in zip("xy", point, strict=False):
        if outside(value):
            return f"key point {number} has {axis} {value:g}, which is outside 0–1"
    return ""
