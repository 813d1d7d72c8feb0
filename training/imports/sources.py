"""The data of an import as a folder to read, wherever they are: on the server, in an archive, in an object store."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from training.datasets.scan import DatasetError, Progress, plain
from training.imports.archives import Limits, archive_stem, archive_unpack
from training.imports.archives.entries import Unpacking
from training.imports.objects import place_fetch
from training.imports.uploads import upload_join
from training.models import DatasetImport, DatasetUpload, ImportState
from training.storage.store import InvalidKey, key_validate

FOLDER, UPLOAD, S3 = "folder", "upload", "s3"


def limits() -> Limits:
    """The most that an import takes in."""
    return Limits(int(settings.IMPORT_MAX_GB * 1e9), settings.IMPORT_MAX_FILES)


@contextmanager
def source_folder(claimed: DatasetImport, progress: Progress) -> Iterator[Path]:
    """A folder with the data, while it is needed; what was made for it is gone afterwards. Raises DatasetError."""
    if claimed.source_kind == FOLDER:
        yield Path(claimed.source)
        return
    with work_folder(f"{claimed.pk}-{claimed.attempt}") as work:
        target = work / _name(claimed.source)
        target.mkdir()
        if claimed.source_kind == S3:
            place_fetch(claimed.source, Unpacking(target, limits().bytes, limits()), progress)
            yield target
        else:
            yield _unpacked(claimed.upload, work / "archive", target, progress)


@contextmanager
def archive_folder(archive: Path, progress: Progress | None) -> Iterator[Path]:
    """The folder in an archive of this machine, unpacked while it is needed. Raises DatasetError."""
    with work_folder(f"command-{os.getpid()}") as work:
        target = work / (archive_stem(archive.name) or "archive")
        target.mkdir()
        yield archive_unpack(archive, target, limits(), progress)


@contextmanager
def address_folder(address: str, progress: Progress | None) -> Iterator[Path]:
    """The files of an object store's place, here while they are needed. Raises DatasetError."""
    with work_folder(f"command-{os.getpid()}") as work:
        target = work / _name(address)
        target.mkdir()
        place_fetch(address, Unpacking(target, limits().bytes, limits()), progress)
        yield target


@contextmanager
def work_folder(name: str) -> Iterator[Path]:
    """An empty folder of one's own, removed at the end."""
    folder = settings.WORK_DIR / "imports" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def work_folders_sweep() -> None:
    """Remove what killed workers of this machine have left: folders of imports that no longer run."""
    for folder in (settings.WORK_DIR / "imports").glob("*-*"):
        number, _, attempt = folder.name.partition("-")
        if number.isdigit() and attempt.isdigit():
            running = DatasetImport.objects.filter(pk=number, attempt=attempt, state=ImportState.RUNNING)
            if not running.exists():
                shutil.rmtree(folder, ignore_errors=True)


def _unpacked(upload: DatasetUpload | None, archive: Path, target: Path, progress: Progress) -> Path:
    if upload is None:
        raise DatasetError("The uploaded archive is not kept any more: upload it again.")
    upload_join(upload, archive, progress)
    folder = archive_unpack(archive, target, limits(), progress)
    archive.unlink()  # its bytes are needed no more, and the disk may be small
    return folder


def _name(source: str) -> str:
    """What messages call the folder."""
    name = archive_stem(source) or source.rstrip("/").rpartition("/")[2]
    try:
        return plain(key_validate(name))
    except InvalidKey:
        return "data"
