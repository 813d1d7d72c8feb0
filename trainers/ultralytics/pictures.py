"""What the library draws once training is over: predictions, confusion matrix and curves of the best weights."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainers.sdk import TrainerSDK

# Names of the library's files → what they are. Of a kind that comes in several, only the first are worth a look.
KINDS = {
    "val_batch*_pred.jpg": "prediction",
    "val_batch*_labels.jpg": "truth",
    "confusion_matrix_normalized.png": "confusion_matrix",
    "confusion_matrix.png": "confusion_matrix",
    "*PR_curve.png": "curve",
    "*F1_curve.png": "curve",
    "*P_curve.png": "curve",
    "*R_curve.png": "curve",
}
DRAWING_SECONDS = 30.0


class FinalPictures:
    """Has the library draw in its final validation only, so that no epoch is slower for it."""

    def __init__(self) -> None:
        self.wanted = True
        self.folder: Path | None = None
        self._before: set[threading.Thread] = set()

    def begin(self, trainer: Any) -> None:
        """The last epoch is over: the validation that follows may draw."""
        if self.wanted:
            self._before = set(threading.enumerate())
            trainer.args.plots = True

    def drawn(self, trainer: Any) -> None:
        """The final validation is over; the library's own charts of the epochs are not needed."""
        if self.wanted:
            trainer.args.plots = False
            self.folder = Path(trainer.save_dir)

    def upload(self, sdk: TrainerSDK, epoch: int | None) -> None:
        """Upload what was drawn; a picture that can't be stored is a warning in the log, and nothing more."""
        self._wait()
        for path, kind in self._files():
            sdk.upload_artifact(path, kind, epoch=epoch)

    def _files(self) -> Iterator[tuple[Path, str]]:
        found: set[Path] = set()
        for pattern, kind in KINDS.items() if self.folder else ():
            for path in sorted(self.folder.glob(pattern)) if self.folder else ():
                if path not in found:
                    found.add(path)
                    yield path, kind

    def _wait(self) -> None:
        """The library draws batches on threads of its own."""
        deadline = time.monotonic() + DRAWING_SECONDS
        for thread in set(threading.enumerate()) - self._before if self.folder else ():
            if thread is not threading.current_thread() and not thread.name.startswith("sdk-"):
                thread.join(max(0.0, deadline - time.monotonic()))
