"""Ultralytics' callbacks turned into reports: batch losses, epoch metrics, checkpoints, and the end on request."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from trainers.sdk import TrainerSDK
from trainers.ultralytics.pictures import FinalPictures

SECONDS_BETWEEN_BATCHES = 0.25


class StopTraining(Exception):
    """Raised inside the library's loop to leave it at once: `should_stop` was seen."""


class Reports:
    """Listens to one training. Epochs count from 1; a step is the number of the batch in the whole run, from 1."""

    def __init__(self, sdk: TrainerSDK, primary: str, pictures: FinalPictures) -> None:
        self.sdk, self.primary, self.pictures = sdk, primary, pictures
        self.step = self.epoch = 0
        self.best_epoch: int | None = None
        self.best_value: float | None = None
        self.final_metrics: dict[str, float] = {}
        self.folder: Path | None = None
        self._batch_reported = self._last_uploaded = 0.0

    def listen(self, model: Any) -> None:
        """Attach to a YOLO model, before its `train`."""
        for event in ("train_start", "train_epoch_start", "train_batch_end", "train_epoch_end"):
            model.add_callback(f"on_{event}", getattr(self, f"on_{event}"))
        for event in ("val_batch_end", "fit_epoch_end", "model_save"):
            model.add_callback(f"on_{event}", getattr(self, f"on_{event}"))

    def on_train_start(self, trainer: Any) -> None:
        """The number of steps is known now."""
        self.folder = Path(trainer.wdir)
        self.sdk.report_started(trainer.epochs, trainer.epochs * len(trainer.train_loader))

    def on_train_epoch_start(self, trainer: Any) -> None:
        """Count from the epoch's place, as the library may repeat one after running out of memory."""
        self.step = trainer.epoch * len(trainer.train_loader)

    def on_train_batch_end(self, trainer: Any) -> None:
        """At most four reports a second of the batch's losses."""
        self.step += 1
        self._leave_if_asked()
        now = time.monotonic()
        if now - self._batch_reported < SECONDS_BETWEEN_BATCHES:
            return
        self._batch_reported = now
        losses = {f"train/batch/{name}": value for name, value in _named(trainer).items()}
        self.sdk.report_progress(losses, epoch=trainer.epoch + 1, step=self.step)

    def on_train_epoch_end(self, trainer: Any) -> None:
        """Remember the epoch: the library calls `on_fit_epoch_end` once more for its final validation."""
        self.epoch = trainer.epoch + 1

    def on_val_batch_end(self, validator: Any) -> None:
        """Validation can be left as well."""
        self._leave_if_asked()

    def on_model_save(self, trainer: Any) -> None:
        """Upload the best when it is a new one, the last now and then, and those that are to be kept."""
        metrics = _floats(trainer.metrics)
        if trainer.best_fitness == trainer.fitness:
            self.best_epoch, self.best_value = self.epoch, metrics.get(self.primary)
            self.upload("best", metrics)
        if time.monotonic() - self._last_uploaded >= self.sdk.environment.checkpoint_seconds:
            self.upload("last", metrics)
        kept = trainer.wdir / f"epoch{trainer.epoch}.pt"
        if trainer.save_period > 0 and kept.exists():
            self.sdk.upload_checkpoint(kept, "epoch", epoch=self.epoch, step=self.step, metrics=metrics)

    def on_fit_epoch_end(self, trainer: Any) -> None:
        """All that the library knows about the epoch, every CALLBACK_INTERVAL epochs and at the last."""
        if trainer.epoch + 1 != self.epoch:
            self.final_metrics = _floats(trainer.metrics)
            self.pictures.drawn(trainer)
            return
        if trainer.stop:
            self.pictures.begin(trainer)
        if self.epoch % self.sdk.environment.callback_interval == 0 or trainer.stop:
            losses = trainer.label_loss_items(trainer.tloss)
            metrics = {**losses, **trainer.metrics, **trainer.lr}
            self.sdk.report_progress(metrics, epoch=self.epoch, total_epochs=trainer.epochs, step=self.step)

    def upload(self, kind: str, metrics: dict[str, float] | None = None) -> None:
        """Upload `best` or `last` as it lies there, if it does."""
        path = self.folder / f"{kind}.pt" if self.folder else None
        if path is None or not path.exists():
            return
        if kind == "last":
            self._last_uploaded = time.monotonic()
        epoch = self.best_epoch if kind == "best" else self.epoch
        self.sdk.upload_checkpoint(path, kind, epoch=epoch, step=self.step, metrics=metrics)

    def _leave_if_asked(self) -> None:
        if self.sdk.should_stop:
            raise StopTraining(self.sdk.stop_reason)


def _named(trainer: Any) -> dict[str, Any]:
    """The losses of the last batch by name: a dict in this version of the library, a tensor in others."""
    losses = trainer.loss_items
    if not isinstance(losses, dict):
        losses = dict(zip(trainer.loss_names, losses.flatten().tolist(), strict=False))
    return {name: float(value) for name, value in losses.items()}


def _floats(metrics: dict[str, Any] | None) -> dict[str, float]:
    return {name: float(value) for name, value in (metrics or {}).items()}
