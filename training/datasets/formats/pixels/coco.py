"""COCO folders: which of their JSON files are for which task."""

import re
from pathlib import Path

from training.datasets.formats.pixels.documents import Document, Reader, Words, split_of
from training.datasets.formats.pixels.scanner import PixelScanner
from training.datasets.scan import DatasetError, Problems, Progress, Scan

WORDS = Words(classes="categories", class_id="category_id", outline="segmentation")
OTHERS = re.compile(r"caption|stuff|panoptic|annotations_(detection|classification|segmentation)\.json", re.IGNORECASE)
SIGNS = {
    "pose": re.compile(r'"keypoints"\s*:\s*\[\s*["\d]'),
    "segmentation": re.compile(r'"segmentation"\s*:\s*(\[\s*\[|\{)'),
    "detection": re.compile(r'"bbox"\s*:\s*\['),
}


def documents_find(folder: Path, task: str = "") -> list[Document]:
    """The files that look like COCO's, by their names and their first and last part; for a task its own ones."""
    places = [folder, folder / "annotations", *sorted(one for one in folder.iterdir() if one.is_dir())]
    files = sorted({file for place in places if place.is_dir() for file in place.glob("*.json")})
    found = [
        Document(file, split_of(file.name) or (split_of(file.parent.name) if file.parent != folder else None))
        for file in files
        if file.is_file() and file.resolve().is_relative_to(folder.resolve()) and not OTHERS.search(file.name)
    ]
    found = [one for one in found if _is_one(one)]
    of_points = [one for one in found if "keypoint" in one.file.name.lower()]
    of_boxes = [one for one in found if one not in of_points]
    return (of_points if task == "pose" else of_boxes) or found if task else found


def fits(folder: Path, task: str) -> bool:
    """Whether the annotations are for this task: those with key points are for pose, outlines for two tasks."""
    samples = [one.sample() for one in documents_find(folder, task)]
    has = {sign: any(pattern.search(sample) for sample in samples) for sign, pattern in SIGNS.items()}
    return has[task] and (task == "pose" or not has["pose"])


def coco_scan(folder: Path, task: str, name: str, progress: Progress | None) -> Scan:
    """Everything in the folder for this task. Raises DatasetError."""
    folder, problems = folder.resolve(), Problems()
    documents = documents_find(folder, task)
    if not documents:
        raise DatasetError(f"{folder.name}: there is no JSON file with images, annotations and categories.")
    if len(documents) == 1:
        documents = [Document(documents[0].file, None)]  # one file is the whole; its split is the platform's to make
    reader = Reader(folder, documents, WORDS, task, problems)
    return PixelScanner(folder, task, problems, progress).scan(name, reader.classes, reader.annotated(), reader.points)


def _is_one(document: Document) -> bool:
    sample = document.sample()
    return '"categories"' in sample and ('"images"' in sample or '"annotations"' in sample)
