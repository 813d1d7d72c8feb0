"""What a person may ask the platform to watch in a run, checked in one place for form, REST, documents and commands."""

from dataclasses import asdict, dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext

from training.models import TrainingJob
from training.trainers import Trainer

NAMES = ("stop_at_nan", "patience", "watched_metrics")
MAX_PATIENCE = 100_000
MAX_LENGTH = 500


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """When a run is ended by the platform; by default never."""

    stop_at_nan: bool = False
    patience: int | None = None
    watched_metrics: str = ""

    @classmethod
    def of(cls, said: Any) -> "WatchOptions":
        """The options among `said`, a document or a command's options; None means the default."""
        return cls(**{name: said[name] for name in NAMES if said.get(name) is not None})

    @classmethod
    def of_job(cls, job: TrainingJob) -> "WatchOptions":
        return cls(job.stop_at_nan, job.patience, job.watched_metrics)

    def fields(self, trainer: Trainer, task: str) -> dict[str, Any]:
        """The job's fields. Raises ValidationError with a message per option."""
        errors = {}
        if self.patience is not None:
            if isinstance(self.patience, bool) or not 1 <= self.patience <= MAX_PATIENCE:
                errors["patience"] = gettext("patience must be from 1 to %(most)s.") % {"most": f"{MAX_PATIENCE:,}"}
            elif own_patience(trainer):
                errors["patience"] = gettext("%(label)s stops early by itself: use its own setting patience.") % {
                    "label": trainer.label
                }
            elif not trainer.primary(task):
                errors["patience"] = gettext("%(label)s names no metric that tells which epoch is the best.") % {
                    "label": trainer.label
                }
        if len(self.watched_metrics) > MAX_LENGTH or not self.watched_metrics.isprintable():
            errors["watched_metrics"] = gettext("At most %(most)s characters, on one line.") % {"most": MAX_LENGTH}
        if errors:
            raise ValidationError(errors)
        return asdict(self) | {"watched_metrics": self.watched_metrics.strip()}

    def said(self) -> dict[str, Any]:
        """Those that are not the default, for a document."""
        return {name: value for name, value in asdict(self).items() if value}


def own_patience(trainer: Trainer) -> bool:
    """Whether the trainer stops early by itself, where its own setting asks for it."""
    return any(setting.name == "patience" for setting in trainer.settings)
