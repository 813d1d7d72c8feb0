"""Which task the labels of a YOLO folder are for, judged by data.yaml and the columns of some label files."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from training.datasets.formats.yolo.description import Description, description_find, description_read
from training.datasets.formats.yolo.layout import layout_find, layout_guess
from training.datasets.scan import DatasetError, Problems

TASKS = {
    "detect": "detection",
    "segment": "segmentation",
    "pose": "pose",
    "obb": "obb",
}  # Ultralytics' words, as `task:` in data.yaml has them
FILES, LINES, BYTES = 100, 200, 64 * 1024  # how much of each part is looked at
BOX, QUADRANGLE = 5, 9
FEW = 0.05


def folder_looks_right(folder: Path) -> bool:
    """Whether the names in `folder` are those of a YOLO folder, whatever its labels hold."""
    return description_find(folder) is not None or bool(layout_guess(folder))


def task_guess(folder: Path) -> set[str]:
    """The tasks that the labels can be for: one, or segmentation and obb where each line has four corners.

    What can't be read is taken for detection, whose scan then says what is wrong.
    """
    problems = Problems()
    try:
        description = description_read(folder.resolve(), problems)
        columns = _columns(folder.resolve(), description)
    except (DatasetError, OSError):
        return {"detection"}
    if description.task in TASKS:
        return {TASKS[description.task]}
    return _task_of(columns, description)


def _task_of(columns: Counter[int], description: Description) -> set[str]:
    boxes = columns.pop(BOX, 0)
    even = sum(times for number, times in columns.items() if not number % 2)
    corners = columns.pop(QUADRANGLE, 0)
    polygons = sum(times for number, times in columns.items() if number % 2 and number > BOX)
    if description.kpt_shape:
        return {"pose"} if boxes == 0 or boxes < even + corners + polygons else {"detection"}
    if boxes >= even + corners + polygons:
        return {"detection"}
    if even > corners + polygons:
        return {"pose"}  # an even number of fields is no polygon: its scan asks for kpt_shape
    return {"segmentation"} if polygons > FEW * corners else {"segmentation", "obb"}


def _columns(folder: Path, description: Description) -> Counter[int]:
    """How many of the first label lines have how many fields."""
    found: Counter[int] = Counter()
    for part in layout_find(folder, description, Problems()):
        labels = (part.label_file(image) for image in part.image_files())
        for file in islice((label for label in labels if label.is_file()), FILES):
            found.update(_counts(file))
    return found


def _counts(file: Path) -> Iterator[int]:
    with file.open("rb") as opened:
        lines = opened.read(BYTES).splitlines()[:LINES]
    yield from (len(fields) for line in lines if (fields := line.split()))
