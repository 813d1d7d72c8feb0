"""Calls without a number that must outlive the process, such as `completion`: a file each, until answered."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from trainers.sdk.metrics import compact

BEFORE = ("started",)
AFTER = ("inference", "export", "completion")


class Letters:
    """The letters that wait in a folder: `started` goes before all records, the others after them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, call: str, payload: dict[str, Any]) -> None:
        """Put a letter down, wholly or not at all, in place of an older one. Raises OSError."""
        path = self._path(call)
        draft = path.with_suffix(".draft")
        draft.write_bytes(compact(payload))
        os.replace(draft, path)

    def waiting(self, calls: tuple[str, ...]) -> str | None:
        """The first of these calls that waits to be sent."""
        return next((call for call in calls if self._path(call).exists()), None)

    def read(self, call: str) -> bytes:
        """The body of a letter."""
        return self._path(call).read_bytes()

    def answered(self, call: str) -> None:
        """Throw the letter away."""
        self._path(call).unlink(missing_ok=True)

    def _path(self, call: str) -> Path:
        return self.folder / f"{call}.letter"
