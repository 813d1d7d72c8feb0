"""A snapshot's manifest: exactly which files a run is trained on."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trainers.sdk.errors import DatasetError

MANIFEST_NAME = ".manifest.json"
LEADS_OUT = re.compile(r"\\|(?:^|/)\.{0,2}(?:/|$)")  # a backslash, or a part that is empty, `.` or `..`


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    """One file: its path below the dataset's folder, its size in bytes, and what it is for."""

    path: str
    size: int
    sha256: str | None
    role: str
    split: str | None


@dataclass(frozen=True)
class Manifest:
    """The files of a snapshot, labels before images."""

    version_hash: str
    format: str
    task_type: str
    classes: list[str]
    files: list[SnapshotFile]

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read a manifest file. Raises DatasetError where it is not one, or names a file outside its folder."""
        try:
            data = json.loads(path.read_bytes())
            files = [_file(entry) for entry in data["files"]]
            version_hash, form, task = (str(data.get(key) or "") for key in ("version_hash", "format", "task_type"))
            classes = [str(name) for name in data.get("classes") or []]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DatasetError(
                f"the manifest of the dataset cannot be read: {type(error).__name__}: {error}"
            ) from error
        if not files:
            raise DatasetError("the manifest of the dataset names no files")
        return cls(version_hash, form, task, classes, sorted(files, key=lambda file: file.role == "image"))

    def labelled(self) -> Manifest:
        """The same without the images that have no label file; a dataset without any label file is labelled otherwise.

        An empty label file counts: somebody looked, and there was nothing to mark.
        """
        marked = {_stem(file.path, "labels/") for file in self.files if file.role == "label"}
        if not marked:
            return self
        kept = [file for file in self.files if file.role != "image" or _stem(file.path, "images/") in marked]
        return replace(self, files=kept)

    def images(self, split: str) -> list[SnapshotFile]:
        """The images of a split, in the order of their paths."""
        return sorted(
            (file for file in self.files if file.role == "image" and file.split == split), key=lambda f: f.path
        )


def _file(entry: dict[str, Any]) -> SnapshotFile:
    path = str(entry["path"])
    if LEADS_OUT.search(path):
        raise ValueError(f"{path!r} leads out of the dataset's folder")
    return SnapshotFile(path, int(entry["size"]), entry.get("sha256"), entry.get("role") or "image", entry.get("split"))


def _stem(path: str, folder: str) -> str:
    """`train/1` of `images/train/1.png` and of `labels/train/1.txt`."""
    return path.removeprefix(folder).rpartition(".")[0]
