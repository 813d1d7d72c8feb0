"""The demo dataset: small scenes composed of real handwritten digits, written as a YOLO folder."""

import gzip
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

IMAGE_SIZE = 128
SCENES = {"train": 320, "val": 60}
CLASSES = [str(digit) for digit in range(10)]
INK = 48  # pixels at least this bright belong to a digit; the paper stays well below

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Box = tuple[int, int, int, int]


def demo_dataset_write(folder: Path, seed: int = 7) -> Path:
    """Write data.yaml, images/ and labels/ into `folder` (made if missing) and return it.

    The digits are scikit-learn's 1,797 (UCI optical recognition of handwritten
    digits); no digit of a training scene is in a validation scene. The same
    seed writes the same scenes. Boxes are exact: they touch the ink.
    """
    images, targets = _digits_read()
    random = np.random.default_rng(seed)
    order = random.permutation(len(images))
    first_val = int(len(order) * 0.8)
    for split, numbers in {"train": order[:first_val], "val": order[first_val:]}.items():
        for part in ("images", "labels"):
            (folder / part / split).mkdir(parents=True, exist_ok=True)
        drawings = [(images[number], int(targets[number])) for number in numbers]
        for scene in range(SCENES[split]):
            _scene_write(folder, split, f"{split}-{scene:04d}", drawings, random)
    (folder / "data.yaml").write_text(_data_yaml(), encoding="utf-8")
    return folder


def _digits_read() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Images of shape (1797, 8, 8) with ink from 0 to 16, and the digits that they show.

    Read from scikit-learn's file: importing the library takes two seconds, and nothing of it is needed.
    """
    package = importlib.util.find_spec("sklearn")
    assert package is not None and package.origin is not None, "scikit-learn is in requirements.txt"
    with gzip.open(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz") as table:
        rows = np.loadtxt(table, delimiter=",", dtype=np.float64)
    return rows[:, :-1].reshape(-1, 8, 8), rows[:, -1]


def _data_yaml() -> str:
    names = "".join(f'  {number}: "{name}"\n' for number, name in enumerate(CLASSES))
    return f"path: .\ntrain: images/train\nval: images/val\nnames:\n{names}"


def _scene_write(folder: Path, split: str, name: str, drawings: list[Any], random: np.random.Generator) -> None:
    pixels, lines = _scene(drawings, random)
    Image.fromarray(np.repeat(pixels[:, :, None], 3, axis=2)).save(
        folder / "images" / split / f"{name}.png", compress_level=1
    )
    (folder / "labels" / split / f"{name}.txt").write_text("".join(lines), encoding="utf-8")


def _scene(drawings: list[Any], random: np.random.Generator) -> tuple[Pixels, list[str]]:
    """One picture of 2 to 4 digits that do not touch, and its label lines."""
    paper = random.integers(0, 24, (IMAGE_SIZE, IMAGE_SIZE)).astype(np.uint8)
    boxes: list[Box] = []
    lines: list[str] = []
    wanted = int(random.integers(2, 5))
    while len(boxes) < wanted:
        drawing, label = drawings[int(random.integers(len(drawings)))]
        digit = _digit(drawing, int(random.integers(28, 49)))
        height, width = digit.shape
        left, top = (int(random.integers(0, IMAGE_SIZE - side + 1)) for side in (width, height))
        box = (left, top, left + width, top + height)
        if any(_touch(box, other) for other in boxes):
            continue
        place = paper[top : top + height, left : left + width]
        np.maximum(place, np.where(digit >= INK, digit, 0), out=place)
        boxes.append(box)
        lines.append(_line(label, box))
    return paper, lines


def _digit(drawing: Any, size: int) -> Pixels:
    """The 8 × 8 drawing (0 to 16) scaled to `size` pixels and cut to its ink."""
    image = Image.fromarray(np.asarray(drawing * 255 / 16, dtype=np.uint8))
    pixels: Pixels = np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))
    rows, columns = (np.flatnonzero((pixels >= INK).any(axis=axis)) for axis in (1, 0))
    return pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _touch(one: Box, other: Box, gap: int = 2) -> bool:
    apart = one[0] - other[2], other[0] - one[2], one[1] - other[3], other[1] - one[3]
    return all(distance < gap for distance in apart)


def _line(label: int, box: Box) -> str:
    left, top, right, bottom = box
    numbers = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
    return f"{label} " + " ".join(f"{number / IMAGE_SIZE:.8g}" for number in numbers) + "\n"
