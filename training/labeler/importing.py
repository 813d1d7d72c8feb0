"""A dataset of the labeler becomes one of ours: asked for by a person, fetched and unpacked by a maintenance worker."""

import hashlib
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import httpx
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from training.datasets.scan import DatasetError, Progress
from training.datasets.services import name_checked
from training.jobs.wakeups import queue_wake
from training.labeler.client import LabelerClient, LabelerError, LabelerFile, LabelerRefused
from training.models import ON_ITS_WAY, DatasetImport, Organization, User

LABELER = "labeler"
MOST_ENTRIES = 2_000_000
BLOCK = 1 << 20
TIMES_PACKED = 20  # images hardly shrink; what grows more is a bomb


def labeler_import_ask(organization: Organization, dataset_id: str, user: User) -> DatasetImport:
    """An import of a dataset of the labeler's, under its own name; the same that is on its way is found again.

    Raises LabelerError where this person may not have it, ValidationError for a name that is taken. The caller has
    checked the right to import.
    """
    client = LabelerClient(user)
    dataset = client.get(dataset_id)
    if not client.permission(dataset_id):
        raise LabelerRefused("The labeler does not let you take this dataset.")
    same = {"organization": organization, "source_kind": LABELER, "source": dataset.id, "state__in": ON_ITS_WAY}
    if there := DatasetImport.objects.filter(**same).first():
        return there
    facts = {"source_kind": LABELER, "source": dataset.id, "created_by": user}
    try:
        name = name_checked(organization, dataset.name)
        with transaction.atomic():
            asked = DatasetImport.objects.create(organization=organization, name=name, **facts)
    except DatasetError as error:
        raise ValidationError({"name": str(error)}) from error
    except IntegrityError as error:
        raise ValidationError({"name": f"Another import under the name {dataset.name} is on its way."}) from error
    transaction.on_commit(lambda: queue_wake("imports"))
    return asked


@contextmanager
def labeler_folder(claimed: DatasetImport, progress: Progress) -> Iterator[Path]:
    """The dataset as a folder, for as long as it is read. Raises DatasetError with a message for people."""
    root = Path(settings.DATA_DIR) / "labeler"
    root.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=root))
    try:
        told = LabelerClient(claimed.created_by).download(claimed.source)
        _fetch(told, folder / "data.zip", progress)
        _unpack(folder / "data.zip", folder / "data", progress)
        yield folder / "data"
    except LabelerError as error:
        raise DatasetError(str(error)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fetch(told: LabelerFile, target: Path, progress: Progress) -> None:
    free = shutil.disk_usage(target.parent).free
    if told.size * 2 > free:
        raise DatasetError(f"The dataset has {told.size / 1e9:.1f} GB; unpacking it needs more than the disk has free.")
    digest, received = hashlib.sha256(), 0
    try:
        with httpx.stream("GET", told.url, timeout=30.0) as response, target.open("wb") as file:
            if response.status_code != 200:
                raise DatasetError(f"The labeler's store answered {response.status_code}. Ask for the import again.")
            for block in response.iter_bytes(BLOCK):
                file.write(block)
                digest.update(block)
                received += len(block)
                progress("Downloading", received, told.size)
                if received > told.size:
                    break
    except httpx.HTTPError as error:
        raise DatasetError("The labeler's store broke off. Ask for the import again.") from error
    if received != told.size or (told.sha256 and digest.hexdigest() != told.sha256):
        raise DatasetError("What the labeler sent is not what it announced. Ask for the import again.")


def _unpack(archive: Path, target: Path, progress: Progress) -> None:
    """Regular files below `target` and nothing else; sizes are measured, not believed."""
    left = max(archive.stat().st_size, 1 << 20) * TIMES_PACKED
    try:
        with zipfile.ZipFile(archive) as packed:
            entries = [entry for entry in packed.infolist() if not entry.is_dir()]
            if len(entries) > MOST_ENTRIES:
                raise DatasetError(f"The labeler's archive has more than {MOST_ENTRIES:,} files.")
            for done, entry in enumerate(entries, start=1):
                path = target / _inside(entry)
                path.parent.mkdir(parents=True, exist_ok=True)
                with packed.open(entry) as source, path.open("xb") as file:
                    while block := source.read(BLOCK):
                        left -= len(block)
                        if left < 0:
                            raise DatasetError("The labeler's archive unpacks to far more than it is.")
                        file.write(block)
                progress("Unpacking", done, len(entries))
    except (zipfile.BadZipFile, FileExistsError, NotImplementedError, RuntimeError, EOFError) as error:
        raise DatasetError(f"The labeler's archive can't be unpacked: {error}.") from error


def _inside(entry: zipfile.ZipInfo) -> PurePosixPath:
    path, kind = PurePosixPath(entry.filename), stat.S_IFMT(entry.external_attr >> 16)
    if path.is_absolute() or ".." in path.parts or "\\" in entry.filename or kind not in (0, stat.S_IFREG):
        raise DatasetError("The labeler's archive holds something that is not a file in its folder.")
    return path
