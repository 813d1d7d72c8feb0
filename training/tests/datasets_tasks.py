"""Small folders of every task for tests, made of real handwritten digits and what outlines their ink."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from training.datasets.demo import INK, _digit, _digits_read
from training.tests.datasets_folder import write

SIDE = 48
COUNTS = {"train": 8, "val": 4}


def folder_of(task: str, top: Path, classes: int = 2) -> Path:
    """A YOLO folder, or one with a folder for each class, of pictures with one digit each."""
    drawings, targets = _digits_read()
    chosen = [number for number in range(len(targets)) if targets[number] < classes]
    for place, number in enumerate(chosen[: sum(COUNTS.values())]):
        split = "train" if place < COUNTS["train"] else "val"
        _picture_write(task, top, split, place, drawings[number], int(targets[number]))
    if task != "classification":
        write(top, "data.yaml", _yaml(task, classes))
    return top


def _yaml(task: str, classes: int) -> str:
    names = ", ".join(f"digit {number}" for number in range(classes))
    more = "kpt_shape: [3, 3]\nflip_idx: [0, 1, 2]\n" if task == "pose" else ""
    more += "task: obb\n" if task == "obb" else ""
    return f"train: images/train\nval: images/val\n{more}names: [{names}]\n"


def _picture_write(task: str, top: Path, split: str, place: int, drawing: np.ndarray, target: int) -> None:
    digit = _digit(drawing, 36)
    pixels = np.zeros((SIDE, SIDE), dtype=np.uint8)
    left, top_edge = 3 + place % 5, 4 + place % 3
    height, width = digit.shape
    pixels[top_edge : top_edge + height, left : left + width] = np.where(digit >= INK, digit, 0)
    by_class = task == "classification"
    folder = top / split / f"digit {target}" if by_class else top / "images" / split
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert("RGB").save(folder / f"{place}.png")
    if not by_class:
        numbers = PLACES[task](pixels / 255.0 > 0.3) / SIDE
        words = " ".join(f"{value:.6f}" for value in numbers)
        words = _with_visibility(words) if task == "pose" else words
        write(top, f"labels/{split}/{place}.txt", f"{target} {words}\n")


def _with_visibility(words: str) -> str:
    """Each key point is visible: 2 after its x and y."""
    numbers = words.split()
    return " ".join([*numbers[:4], *(f"{x} {y} 2" for x, y in zip(numbers[4::2], numbers[5::2], strict=True))])


def _box(ink: np.ndarray) -> np.ndarray:
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    left, right, upper, lower = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
    return np.array([(left + right) / 2, (upper + lower) / 2, right - left, lower - upper])


def _outline(ink: np.ndarray) -> np.ndarray:
    """The left edge of the ink downwards, and its right edge back up."""
    rows = np.flatnonzero(ink.any(axis=1))
    lefts = [(np.flatnonzero(ink[row])[0], row) for row in rows]
    rights = [(np.flatnonzero(ink[row])[-1] + 1, row) for row in rows[::-1]]
    return np.array([number for corner in (*lefts, *rights) for number in corner], dtype=float)


def _rotated(ink: np.ndarray) -> np.ndarray:
    """The box along the ink's main direction (its first principal axis)."""
    points = np.argwhere(ink)[:, ::-1].astype(float)
    middle = points.mean(axis=0)
    axes = np.linalg.svd(points - middle, full_matrices=False)[2]
    along = (points - middle) @ axes.T
    low, high = along.min(axis=0), along.max(axis=0)
    corners = np.array([[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]])
    return np.clip(corners @ axes + middle, 0, SIDE).ravel()


def _points(ink: np.ndarray) -> np.ndarray:
    """The box, then the ink's highest, middle and lowest places."""
    points = np.argwhere(ink)[:, ::-1].astype(float)
    return np.concatenate([_box(ink), points[0], points.mean(axis=0), points[-1]])


PLACES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "detection": _box,
    "segmentation": _outline,
    "obb": _rotated,
    "pose": _points,
}
