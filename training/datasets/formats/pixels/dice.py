"""DICE folders, the labeler's own: images/, and one JSON file for each task."""

from pathlib import Path

from training.datasets.formats.pixels.documents import Document, Reader, Words
from training.datasets.formats.pixels.scanner import PixelScanner
from training.datasets.scan import DatasetError, Problems, Progress, Scan

WORDS = Words(classes="classes", class_id="class_id", outline="polygon")


def dice_file(folder: Path, task: str) -> Path | None:
    """The file for this task, if it is there beside images/."""
    file = folder / f"annotations_{task}.json"
    return file if file.is_file() and (folder / "images").is_dir() else None


def dice_scan(folder: Path, task: str, name: str, progress: Progress | None) -> Scan:
    """Everything in the folder for this task. Raises DatasetError."""
    folder, problems = folder.resolve(), Problems()
    file = dice_file(folder, task)
    if file is None or not file.resolve().is_relative_to(folder):
        raise DatasetError(f"{folder.name}: there is no annotations_{task}.json beside images/.")
    reader = Reader(folder, [Document(file, None)], WORDS, task, problems)
    return PixelScanner(folder, task, problems, progress).scan(name, reader.classes, reader.annotated(), reader.points)
