"""The settings of a run: own variable, then CONFIG, then the older CONFIG_* variables, then the default."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from trainers.sdk.errors import SettingError
from trainers.sdk.schema import checked, typed
from trainers.sdk.session import Session

BASIC: dict[str, tuple[str, Any]] = {
    "epochs": ("integer", 100),
    "batch_size": ("integer", 16),
    "learning_rate": ("number", 0.01),
    "imgsz": ("integer", 640),
    "device": ("text", ""),
}
OLDER = "CONFIG_"


def basic_settings(variables: Mapping[str, str]) -> dict[str, Any]:
    """The five settings that every trainer has. Raises SettingError that names the one of a wrong type."""
    given = _older(variables) | _config(variables)
    basic = {}
    for name, (kind, default) in BASIC.items():
        own = variables.get(name.upper())
        value, source = (own, name.upper()) if own else (given.get(name), f"setting {name}")
        basic[name] = default if value is None else typed(value, kind, source)
    return basic


def advanced_settings(variables: Mapping[str, str]) -> dict[str, Any]:
    """All other settings that were given, as they were given."""
    given = _older(variables) | _config(variables)
    return {name: value for name, value in given.items() if name not in BASIC and value is not None}


def _config(variables: Mapping[str, str]) -> dict[str, Any]:
    try:
        config = json.loads(variables.get("CONFIG") or "{}")
    except ValueError as error:
        raise SettingError(f"CONFIG is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise SettingError(f"CONFIG must be a JSON object, not a {type(config).__name__}")
    return config


def _older(variables: Mapping[str, str]) -> dict[str, Any]:
    """`CONFIG_BATCH_SIZE=8` as `{"batch_size": 8}`; what is not JSON is text."""
    return {name[len(OLDER) :].lower(): _parsed(text) for name, text in variables.items() if name.startswith(OLDER)}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


class Settings(Session):
    """The settings of this run; a wrong type raises SettingError with the setting's name."""

    def get_basic_config(self) -> dict[str, Any]:
        """`epochs`, `batch_size`, `learning_rate`, `imgsz` and `device`, of the right types."""
        return basic_settings(self._variables)

    def get_advanced_config(self) -> dict[str, Any]:
        """The settings beside the basic ones."""
        return advanced_settings(self._variables)

    def get_full_config(self, schema: Sequence[Mapping[str, Any]] | None = None) -> dict[str, Any]:
        """Both; with the `settings` of a trainer's manifest also their defaults, types, ranges and choices."""
        if schema is None:
            return self.get_basic_config() | self.get_advanced_config()
        given = _older(self._variables) | _config(self._variables)
        own = {name: self._variables[name.upper()] for name in BASIC if self._variables.get(name.upper())}
        return checked(given | own, schema)

    @property
    def job_id(self) -> int:
        """The job's number."""
        return self.environment.job_id

    @property
    def model_name(self) -> str:
        """What to train, such as `yolo11n.yaml`."""
        return self.environment.model_name

    @property
    def dataset_id(self) -> str:
        """The dataset, empty where the job has none."""
        return self.environment.dataset_id

    @property
    def task_type(self) -> str:
        """The task, such as `detection`."""
        return self.environment.task_type

    @property
    def framework(self) -> str:
        """The trainer's framework, such as `ultralytics`."""
        return self.environment.framework

    @property
    def snapshot_id(self) -> str:
        """The snapshot of the dataset, empty where the job has none."""
        return self.environment.snapshot_id

    @property
    def dataset_version_hash(self) -> str:
        """The hash of the snapshot's content."""
        return self.environment.dataset_version_hash
