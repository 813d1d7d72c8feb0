"""The trainers that this platform can start: one folder each, described by its `trainer.toml`."""

import tomllib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext, gettext_noop

TYPES: dict[str, type | tuple[type, ...]] = {
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "choice": str,
    "text": str,
}

KINDS = {
    "integer": gettext_noop("must be an integer"),
    "number": gettext_noop("must be a number"),
    "boolean": gettext_noop("must be a boolean"),
    "choice": gettext_noop("must be a choice"),
    "text": gettext_noop("must be a text"),
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a trainer: its type, its limits, and what a form says about it."""

    name: str
    type: str
    label: str
    default: Any = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    group: str = "Basic"
    help: str = ""
    advanced: bool = False

    def problem(self, value: Any) -> str:
        """Why `value` won't do, or an empty string."""
        fits = isinstance(value, TYPES[self.type]) and (not isinstance(value, bool) or self.type == "boolean")
        if not fits:
            return gettext(KINDS[self.type])
        if self.minimum is not None and not value >= self.minimum:
            return gettext("must be at least %(minimum)s") % {"minimum": f"{self.minimum:g}"}
        if self.maximum is not None and not value <= self.maximum:
            return gettext("must be at most %(maximum)s") % {"maximum": f"{self.maximum:g}"}
        if self.choices and value not in self.choices:
            return gettext("must be one of %(choices)s") % {"choices": ", ".join(map(str, self.choices))}
        return ""


@dataclass(frozen=True, slots=True)
class Preset:
    """Settings that a trainer recommends under a name; those left out keep their defaults."""

    name: str
    help: str = ""
    tasks: tuple[str, ...] = ()  # all of the trainer's, if it is empty
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trainer:
    """A trainer's manifest."""

    name: str
    label: str
    framework: str
    module: str
    tasks: tuple[str, ...]
    models: dict[str, tuple[str, ...]]
    settings: tuple[Setting, ...]
    weights: bool = False  # a model may also be the path of a weights file
    resume: bool = False  # it goes on from the checkpoint that it is given
    weights_endings: tuple[str, ...] = (".pt",)
    hub: bool = False  # yolo11n.pt stands for yolo11n.yaml with its published weights
    predict: str = ""  # the module that tries a finished model on one picture
    dataset: bool = True  # a job needs a dataset
    presets: tuple[Preset, ...] = ()
    primary_metric: str = ""
    primary_of: dict[str, str] = field(default_factory=dict)  # tasks that have another
    directions: dict[str, str] = field(default_factory=dict)

    def config_clean(self, config: dict[str, Any]) -> dict[str, Any]:
        """`config` with the defaults filled in. Raises ValidationError with one message per wrong setting."""
        known = {setting.name: setting for setting in self.settings}
        unknown = gettext("%(name)s is not a setting of %(label)s")
        errors = {name: unknown % {"name": name, "label": self.label} for name in config if name not in known}
        cleaned = {}
        for setting in self.settings:
            value = config.get(setting.name, setting.default)
            if value is None:
                continue
            if problem := setting.problem(value):
                errors[setting.name] = f"{setting.name} {problem}"
            cleaned[setting.name] = value
        if errors:
            raise ValidationError(errors)
        return cleaned

    def primary(self, task: str) -> str:
        """The metric that tells which epoch of a task was the best; empty where none does."""
        return self.primary_of.get(task, self.primary_metric)

    def models_offered(self, task: str) -> tuple[str, ...]:
        """The models for a task; with their published weights too, where those may be downloaded."""
        models = self.models.get(task, ())
        if not (self.hub and settings.ALLOW_HUB_DOWNLOADS):
            return models
        return models + tuple(f"{Path(model).stem}.pt" for model in models)

    def changed(self, config: dict[str, Any]) -> dict[str, Any]:
        """The settings of `config` that are something else than their default."""
        defaults = {setting.name: setting.default for setting in self.settings}
        return {name: value for name, value in config.items() if name not in defaults or value != defaults[name]}

    def advanced_changed(self, config: dict[str, Any]) -> list[str]:
        """The advanced settings that `config` sets to something else than their default."""
        advanced = {setting.name: setting.default for setting in self.settings if setting.advanced}
        return [name for name, value in config.items() if name in advanced and value != advanced[name]]

    def data_clean(self, dataset: object) -> None:
        """Raise ValidationError if this trainer needs a dataset and none is given."""
        if self.dataset and dataset is None:
            raise ValidationError({"dataset": self.data_missing})

    @property
    def data_missing(self) -> str:
        """What is said where its dataset is missing: on the form, over REST and by the command."""
        return gettext("Choose a dataset: %(label)s trains on one.") % {"label": self.label}

    def model_clean(self, task: str, model: str) -> None:
        """Raise ValidationError unless this trainer can train `model` on `task`."""
        if task not in self.tasks:
            raise ValidationError(
                {
                    "task_type": gettext("%(label)s trains %(tasks)s, not %(task)s.")
                    % {"label": self.label, "tasks": ", ".join(self.tasks), "task": task}
                }
            )
        models = self.models_offered(task)
        if models and model not in models and not (self.weights and weights_allowed(model)):
            message = gettext("%(model)s is unknown; %(label)s knows %(models)s.")
            if self.weights:
                message = gettext(
                    "%(model)s is unknown; %(label)s knows %(models)s, and .pt files below one of IMPORT_ROOTS."
                )
            known = {"model": model, "label": self.label, "models": ", ".join(models)}
            raise ValidationError({"model_name": message % known})


def weights_allowed(model: str) -> bool:
    """Whether `model` is a weights file in a folder from which people may import.

    The file is opened by the trainer, in its own process, never here.
    """
    path = Path(model).resolve()
    return path.suffix == ".pt" and path.is_file() and any(path.is_relative_to(root) for root in settings.IMPORT_ROOTS)


def trainers_all() -> dict[str, Trainer]:
    """Every trainer found, by the name of its folder."""
    manifests = sorted(Path(settings.TRAINERS_DIR).glob("*/trainer.toml"))
    return {path.parent.name: _trainer_read(path, path.stat().st_mtime_ns) for path in manifests}


def trainer_get(name: str) -> Trainer:
    """The trainer of that name. Raises ValidationError that lists the known ones."""
    found = trainers_all()
    if name not in found:
        known = ", ".join(found) or gettext("none is installed")
        raise ValidationError(
            {"trainer": gettext("There is no trainer %(name)s; known are: %(known)s.") % {"name": name, "known": known}}
        )
    return found[name]


@lru_cache(maxsize=64)
def _trainer_read(path: Path, changed: int) -> Trainer:
    raw = tomllib.loads(path.read_text())
    metrics = raw.get("metrics", {})
    of_tasks = {task: metrics[task] for task in raw["tasks"] if task in metrics}
    return Trainer(
        name=path.parent.name,
        label=raw["label"],
        framework=raw.get("framework", path.parent.name),
        module=raw["module"],
        tasks=tuple(raw["tasks"]),
        models={task: tuple(models) for task, models in raw.get("models", {}).items()},
        settings=tuple(_setting_read(setting) for setting in raw.get("settings", [])),
        weights=raw.get("weights", False),
        weights_endings=tuple(raw.get("weights_endings", [".pt"])),
        resume=raw.get("resume", False),
        hub=raw.get("hub", False),
        predict=raw.get("predict", ""),
        dataset=raw.get("dataset", True),
        presets=tuple(Preset(**{**one, "tasks": tuple(one.get("tasks", ()))}) for one in raw.get("presets", [])),
        primary_metric=metrics.get("primary", ""),
        primary_of={task: of["primary"] for task, of in of_tasks.items() if "primary" in of},
        directions=metrics.get("directions", {}) | dict(_directed(of) for of in (metrics, *of_tasks.values())),
    )


def _directed(metrics: dict[str, Any]) -> tuple[str, str]:
    """A primary metric and which way is better."""
    return metrics.get("primary", ""), metrics.get("direction", "max")


def _setting_read(raw: dict[str, Any]) -> Setting:
    return Setting(**{**raw, "choices": tuple(raw.get("choices", ()))})
