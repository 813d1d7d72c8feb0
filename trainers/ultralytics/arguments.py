"""From the platform's settings to Ultralytics' arguments."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from trainers.sdk import SettingError

TASKS = {
    "detection": "detect",
    "segmentation": "segment",
    "classification": "classify",
    "pose": "pose",
    "obb": "obb",
}
OWN_NAMES = {"batch_size": "batch", "learning_rate": "lr0"}


def library_task(task_type: str) -> str:
    """Ultralytics' word for a task. Raises SettingError."""
    if task_type not in TASKS:
        raise SettingError(f"task {task_type!r} is none of {', '.join(TASKS)}")
    return TASKS[task_type]


def known_model(name: str, hub: bool = False, scales: str = "nslmxtceb") -> str:
    """A model yaml that the library brings along, or a weights file that exists. Raises SettingError.

    Anything else the library would try to download, which it may only with `hub`, and only weights whose yaml it
    brings along. Does not import it: a wrong name is told at once.
    """
    if name.endswith(".pt") and Path(name).is_file():
        return name
    stem = Path(name).stem
    bundled = {path.stem for path in _library_folder().glob("cfg/models/**/*.yaml")}
    known = stem in bundled or any(stem in _scaled(family, scales) for family in bundled)
    if known and (name.endswith(".yaml") or (hub and name == f"{stem}.pt")):
        return name
    raise SettingError(f"model {name!r} is neither a model yaml of Ultralytics nor a weights file that is here")


def training_arguments(settings: dict[str, Any], data: str, work_dir: Path, weights: bool) -> dict[str, Any]:
    """The arguments of `YOLO.train`: the settings under the library's names, and what the platform decides."""
    arguments = {OWN_NAMES.get(name, name): value for name, value in settings.items() if name != "plots"}
    arguments["device"] = None if arguments["device"] in ("", "auto") else arguments["device"]
    arguments["freeze"] = arguments["freeze"] or None
    arguments["save_period"] = arguments["save_period"] or -1
    arguments["nbs"] = arguments["batch"]  # a step of the optimiser for each batch, not for every 64 images
    arguments["cache"] = "ram" if arguments["cache"] else False
    if arguments["device"] == "cpu" or not _has_gpu():
        arguments["amp"] = False
    fixed = {"project": str(work_dir / "runs"), "name": "train", "exist_ok": True, "plots": False}
    return arguments | fixed | {"data": data, "pretrained": weights}


def resume_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """The same for a training that goes on: the checkpoint has its settings and its optimiser's state.

    The library takes from here what may differ on another machine, or saves memory, and the place of this run's files.
    """
    may_differ = ("batch", "imgsz", "device", "workers", "cache", "patience", "save_period", "freeze", "val", "plots")
    kept = {name: arguments[name] for name in (*may_differ, "data") if name in arguments}
    folder = Path(arguments["project"]) / arguments["name"]
    return kept | {"resume": True, "save_dir": str(folder)}


def _scaled(family: str, scales: str) -> set[str]:
    """`yolo11` and `yolo11-seg` as `yolo11n`, `yolo11n-seg` and so on."""
    head, dash, tail = family.partition("-")
    return {f"{head}{scale}{dash}{tail}" for scale in scales}


def _library_folder() -> Path:
    found = importlib.util.find_spec("ultralytics")
    if found is None or not found.submodule_search_locations:
        raise SettingError("Ultralytics is not installed: see trainers/ultralytics/requirements.txt")
    return Path(found.submodule_search_locations[0])


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
