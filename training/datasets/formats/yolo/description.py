"""data.yaml: which folders hold which part, and what the classes are called."""

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from training.datasets.scan import SPLITS, DatasetError, Problems, plain

NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
MAX_BYTES = 1024 * 1024
MAX_CLASSES = 10_000
MAX_POINTS = 1_000
TASK_WORDS = {"segmentation": "segment", "pose": "pose", "obb": "obb"}
EMPTY: tuple[Any, ...] = ("", "null", "~", [], {})


@dataclass(frozen=True, slots=True)
class Description:
    """What data.yaml says; all empty where there is none. `folders` gives the folders of each part."""

    file: str = ""
    base: str = ""
    classes: list[str] = field(default_factory=list)
    folders: dict[str, list[str]] = field(default_factory=dict)
    task: str = ""  # Ultralytics' word, such as obb
    kpt_shape: tuple[int, int] | None = None  # key points of an object, and numbers of each: 2, or 3 with visibility
    flip_idx: tuple[int, ...] = ()  # each key point's partner in a mirrored picture


def description_find(folder: Path) -> Path | None:
    """The folder's data.yaml, under one of its usual names."""
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def description_read(folder: Path, problems: Problems) -> Description:
    """What data.yaml says. DatasetError where it can't be understood; without one the classes stay unnamed."""
    file = description_find(folder)
    if file is None:
        problems.add("data.yaml", "missing, so the classes have no names; they are called class_0, class_1, …")
        return Description()
    data = _load(folder, file)
    classes = _classes(file.name, data, problems)
    folders = {split: _folders(file.name, split, data.get(split)) for split in SPLITS if split in data}
    base = data.get("path", "")
    if not isinstance(base, str):
        raise DatasetError(f"{file.name}: path must be text.")
    task = data.get("task", "")
    shape = _kpt_shape(file.name, data.get("kpt_shape"))
    flip = _flip_idx(file.name, data.get("flip_idx"), shape)
    return Description(file.name, base, classes, folders, task if isinstance(task, str) else "", shape, flip)


def yaml_text(
    classes: list[str],
    split: dict[str, str],
    task: str = "detection",
    kpt_shape: tuple[int, int] | None = None,
    flip_idx: tuple[int, ...] = (),
) -> str:
    """data.yaml of the normal form, which lies beside images/ and labels/.

    Whoever reads the normal form may rely on `kpt_shape` and `flip_idx` being JSON on one line.
    """
    places = {part: folder for folder, part in split.items()} or {"train": "images", "val": "images"}
    lines = ["path: .", *(f"{part}: {places[part]}" for part in SPLITS if part in places)]
    lines += [] if task == "detection" else [f"task: {TASK_WORDS[task]}"]
    lines += [f"kpt_shape: {json.dumps(kpt_shape)}"] if kpt_shape else []
    lines += [f"flip_idx: {json.dumps(flip_idx)}"] if flip_idx else []
    lines += ["names:"]
    lines += [f"  {number}: {json.dumps(name, ensure_ascii=False)}" for number, name in enumerate(classes)]
    return "\n".join(lines) + "\n"


def _load(folder: Path, file: Path) -> dict[str, Any]:
    """The keys of data.yaml; every value is text, a list or a dict, so a class may be called `no` or `1.0`."""
    if not file.resolve().is_relative_to(folder) or file.stat().st_size > MAX_BYTES:
        raise DatasetError(f"{file.name} is larger than 1 MiB, or a link that leads out of the folder.")
    try:
        data = yaml.load(file.read_text(encoding="utf-8-sig"), Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        if error.problem_mark:
            line = error.problem_mark.line + 1
            raise DatasetError(f"{file.name} line {line} is not valid YAML: {error.problem}.") from error
        raise DatasetError(f"{file.name} is not valid YAML: {error.problem}.") from error
    except (yaml.YAMLError, ValueError, RecursionError, OSError) as error:
        raise DatasetError(f"{file.name} is not valid YAML in UTF-8.") from error
    if not isinstance(data, dict):
        raise DatasetError(f"{file.name} must have keys such as train, val and names.")
    return {key: value for key, value in data.items() if value not in EMPTY}


def _kpt_shape(file: str, value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    numbers = _numbers(value)
    if len(numbers) != 2 or not 1 <= numbers[0] <= MAX_POINTS or numbers[1] not in (2, 3):
        raise DatasetError(f"{file}: kpt_shape must be [number of key points, 2 or 3], such as [17, 3].")
    return numbers[0], numbers[1]


def _flip_idx(file: str, value: Any, shape: tuple[int, int] | None) -> tuple[int, ...]:
    if value is None or shape is None:
        return ()
    numbers = _numbers(value)
    if sorted(numbers) != list(range(shape[0])):
        raise DatasetError(f"{file}: flip_idx must name each key point from 0 to {shape[0] - 1} once.")
    return tuple(numbers)


def _numbers(value: Any) -> list[int]:
    """Whole numbers from a list of texts; none where one of them is no such number."""
    texts = value if isinstance(value, list) else []
    fitting = all(isinstance(text, str) and re.fullmatch(r"[0-9]{1,5}", text) for text in texts)
    return [int(text) for text in texts] if fitting else []


def _folders(file: str, split: str, value: Any) -> list[str]:
    folders = value if isinstance(value, list) else [value]
    for folder in folders:
        if not isinstance(folder, str):
            raise DatasetError(f"{file}: {split} must name a folder, or a list of folders.")
        if folder.endswith(".txt"):
            raise DatasetError(f"{file}: {split} names the list {folder}; name a folder of images instead.")
    return folders


def _classes(file: str, data: dict[str, Any], problems: Problems) -> list[str]:
    if "names" not in data:
        problems.add(file, "it has no names, so the classes are called class_0, class_1, …")
        return [f"class_{number}" for number in range(_count(data.get("nc")))]
    names = data["names"]
    if isinstance(names, dict):
        names = _in_order(file, names)
    if not isinstance(names, list) or len(names) > MAX_CLASSES:
        raise DatasetError(f"{file}: names must be a list of at most {MAX_CLASSES:,} class names.")
    classes = [_class(file, number, name) for number, name in enumerate(names)]
    if "nc" in data and _count(data["nc"]) != len(classes):
        problems.add(file, f"nc is not {len(classes)}, the number of names; the names count")
    for name, times in Counter(classes).items():
        if times > 1:
            problems.add(file, f"{times} classes are called {name}")
    return classes


def _count(value: Any) -> int:
    """A number of classes, or 0 where the text is none."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,5}", value):
        return 0
    return min(int(value), MAX_CLASSES)


def _in_order(file: str, names: dict[str, Any]) -> list[Any]:
    numbers = [int(number) if re.fullmatch(r"[0-9]{1,5}", number) else -1 for number in names]
    if sorted(numbers) != list(range(len(numbers))):
        raise DatasetError(f"{file}: the names must be numbered 0 to {len(numbers) - 1}, without gaps.")
    return [name for _, name in sorted(zip(numbers, names.values(), strict=True), key=lambda pair: pair[0])]


def _class(file: str, number: int, name: Any) -> str:
    if not isinstance(name, str) or not name.strip():
        raise DatasetError(f"{file}: the name of class {number} must be text.")
    return plain(name.strip())[:100]
