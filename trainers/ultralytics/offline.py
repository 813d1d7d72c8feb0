"""Ultralytics kept to itself: its settings in a private folder, its trackers off, nothing downloaded unasked."""

from __future__ import annotations

import json
import os
from pathlib import Path

TRACKERS = ("clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb", "neptune", "hub")


def keep_offline(work_dir: Path, hub: bool = False) -> None:
    """Prepare the environment; has to run before `ultralytics` is imported, which reads it then.

    The platform records the run: a second recorder would speak to servers that this trainer knows nothing of.
    With `hub` the library may fetch published weights, which is the only thing that it is then asked for.
    """
    folder = work_dir.resolve() / "ultralytics"
    settings = folder / "Ultralytics" / "settings.json"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(json.dumps(_settings(folder)), encoding="utf-8")
    os.environ |= {"YOLO_CONFIG_DIR": str(folder), "YOLO_AUTOINSTALL": "false"}
    os.environ["YOLO_OFFLINE"] = "false" if hub else "true"
    os.environ["MPLCONFIGDIR"] = str(folder / "matplotlib")
    os.environ.pop("ULTRALYTICS_API_KEY", None)


def want_no_font() -> None:
    """Spare the search for a font, which asks github.com even offline and takes a second: matplotlib has one."""
    from ultralytics.data import utils
    from ultralytics.utils import plotting

    utils.check_font = lambda *_, **__: None
    plotting.check_font = _font


def _font(*_: object, **__: object) -> str:
    import matplotlib

    return str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")


def _settings(folder: Path) -> dict[str, object]:
    """The library keeps what it knows of these, and drops the rest; `sync` is its telemetry."""
    folders = {f"{name}_dir": str(folder / name) for name in ("datasets", "weights", "runs")}
    silent = {
        "sync": False,
        "vscode_msg": False,
        "openvino_msg": False,
        "api_key": "",
        "openai_api_key": "",
        "uuid": "",
    }
    return {"settings_version": "0.0.8"} | folders | silent | dict.fromkeys(TRACKERS, False)
