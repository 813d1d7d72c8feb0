"""YOLO folders: images/ beside labels/, one text file per image, one line per object."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trainers.sdk.errors import DatasetError
from trainers.sdk.manifest import Manifest

IMAGE_ENDINGS = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


@dataclass
class FolderReport:
    """What a YOLO folder holds; `problems` has a sentence for each fault, with file and line."""

    images: int = 0
    labels: int = 0
    boxes: int = 0
    without_label: int = 0
    per_class: Counter[int] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def images_of(folder: Path) -> list[Path]:
    """All images below a folder, in the order of their paths. Raises DatasetError if there is none."""
    walked = os.walk(folder, followlinks=True)  # a conversion may have linked the folder of the images
    images = sorted(Path(parent, name) for parent, _, names in walked for name in names if _is_image(name))
    if not images:
        raise DatasetError(f"no images were found in {folder}")
    return images


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_ENDINGS


def label_of(image: Path) -> Path:
    """The label file of an image: the last folder `images` of its path becomes `labels`."""
    parts = list(image.parts)
    if "images" in parts[:-1]:
        parts[len(parts) - 2 - parts[-2::-1].index("images")] = "labels"
    return Path(*parts).with_suffix(".txt")


def inspect_folder(folder: Path, classes: int | None) -> FolderReport:
    """Read every label: `classes` bounds the class numbers where it is given."""
    report = FolderReport()
    for image in images_of(folder):
        report.images += 1
        label = label_of(image)
        if not label.is_file():
            report.without_label += 1
            continue
        report.labels += 1
        for number, line in enumerate(label.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if line.strip():
                _inspect_line(line, f"{label.relative_to(folder)}:{number}", classes, report)
    return report


def split_folder(folder: Path, ratios: Mapping[str, float], seed: int) -> dict[str, list[Path]]:
    """Shuffle the images with the seed and cut them by ratio; each split with a ratio over 0 gets at least one."""
    images = images_of(folder)
    total, wanted = sum(ratios.values()), [name for name, ratio in ratios.items() if ratio > 0]
    if min(ratios.values(), default=-1) < 0 or total <= 0 or len(images) < len(wanted):
        raise DatasetError(f"{len(images)} images cannot be split by {dict(ratios)}")
    random.Random(seed).shuffle(images)
    counts = {name: max(1, round(len(images) * ratios[name] / total)) for name in wanted}
    largest = max(wanted, key=lambda name: counts[name])
    counts[largest] += len(images) - sum(counts.values())
    rest = iter(images)
    return {name: sorted(next(rest) for _ in range(counts.get(name, 0))) for name in ratios}


def data_yaml(folder: Path, manifest: Manifest, work_dir: Path) -> Path:
    """Write data.yaml and lists of images into `work_dir`. Raises DatasetError for an empty train or val.

    The lists go through links in `work_dir`, so that what the framework writes beside the labels (its label cache)
    stays out of the shared dataset.
    """
    root = work_dir.resolve() / "dataset"
    shutil.rmtree(root, ignore_errors=True)
    _link_folders(folder.resolve(), manifest, root)
    lines = []
    for split in ("train", "val", "test"):
        if images := manifest.images(split):
            text = "".join(f"{root / image.path}\n" for image in images)
            (root / f"{split}.txt").write_text(text, encoding="utf-8")
            lines.append(f"{split}: {json.dumps(str(root / split) + '.txt')}")
        elif split != "test":
            raise DatasetError(f"the dataset's split {split} has no images")
    names = [f"  {number}: {json.dumps(name)}" for number, name in enumerate(manifest.classes)]
    path = work_dir / "data.yaml"
    whole = [*lines, *_key_points(folder), f"nc: {len(names)}", "names:", *names, ""]
    path.write_text("\n".join(whole), encoding="utf-8")
    return path


def _key_points(folder: Path) -> list[str]:
    """What the dataset's own data.yaml says of key points; the platform writes each as JSON on a line of its own."""
    own = folder / "data.yaml"
    lines = own.read_text(encoding="utf-8").splitlines() if own.is_file() else []
    found = [line.partition(": ") for line in lines if line.startswith(("kpt_shape: ", "flip_idx: "))]
    return [f"{name}: {json.dumps(json.loads(value))}" for name, _, value in found]


def _link_folders(folder: Path, manifest: Manifest, root: Path) -> None:
    """Rebuild the folders: those without folders inside them are links, so even 100,000 files are quick."""
    holders = {Path(file.path).parent for file in manifest.files}
    inner = {parent for holder in holders for parent in holder.parents}
    root.mkdir(parents=True)
    for holder in sorted(holders):
        if holder in inner or holder == Path("."):
            (root / holder).mkdir(parents=True, exist_ok=True)
            for file in (file for file in manifest.files if Path(file.path).parent == holder):
                (root / file.path).symlink_to(folder / file.path)
        else:
            (root / holder).parent.mkdir(parents=True, exist_ok=True)
            os.symlink(folder / holder, root / holder, target_is_directory=True)


def _inspect_line(line: str, place: str, classes: int | None, report: FolderReport) -> None:
    try:
        kind, *numbers = [float(word) for word in line.split()]
    except ValueError:
        report.problems.append(f"{place}: not numbers: {line[:60]!r}")
        return
    if len(numbers) < 4 or kind != int(kind) or kind < 0:
        report.problems.append(f"{place}: expected a class and at least 4 numbers: {line[:60]!r}")
    elif classes is not None and kind >= classes:
        report.problems.append(f"{place}: class {int(kind)} of {classes}")
    elif not all(0 <= number <= 1 for number in numbers):
        report.problems.append(f"{place}: a coordinate is not between 0 and 1: {line[:60]!r}")
    else:
        report.boxes += 1
        report.per_class[int(kind)] += 1
