"""Classification datasets as frameworks read them: a folder for each part of the split, in it one for each class."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath

from trainers.sdk.errors import DatasetError
from trainers.sdk.manifest import Manifest


def class_folders(folder: Path, manifest: Manifest, work_dir: Path) -> Path:
    """Write `work_dir`/classes/{split}/{class}/… as links to the images of `folder`, whose own folder is their class.

    Every split has every class, if only as an empty folder, so that classes are numbered alike in all of them, in
    the order of their names. Raises DatasetError for an empty train or val.
    """
    root = work_dir.resolve() / "classes"
    shutil.rmtree(root, ignore_errors=True)
    for split in ("train", "val", "test"):
        images = manifest.images(split)
        if not images and split != "test":
            raise DatasetError(f"the dataset's split {split} has no images")
        for name in manifest.classes if images else ():
            (root / split / name).mkdir(parents=True)
        for number, image in enumerate(images):
            path = PurePosixPath(image.path)
            if path.parent.name not in manifest.classes:
                raise DatasetError(f"{image.path}: {path.parent.name} is no class of the dataset")
            (root / split / path.parent.name / f"{number:07d}{path.suffix}").symlink_to(folder.resolve() / image.path)
    return root
