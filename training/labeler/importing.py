"""A dataset of the labeler becomes one of ours: asked for by a person, fetched and unpacked by a maintenance worker."""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext

from training.datasets.scan import DatasetError, Progress
from training.datasets.services import name_checked
from training.imports.archives import archive_unpack
from training.imports.sources import limits, work_folder
from training.jobs.wakeups import queue_wake
from training.labeler.client import LabelerClient, LabelerDataset, LabelerError, LabelerFile, LabelerRefused
from training.models import ON_ITS_WAY, DatasetImport, Organization, User
from training.people.audit import audit

LABELER = "labeler"
BLOCK = 1 << 20


def labeler_import_ask(organization: Organization, dataset_id: str, user: User) -> DatasetImport:
    """An import of a dataset of the labeler's, under its own name; the same that is on its way is found again.

    Raises LabelerError where this person may not have it, ValidationError for a name that is taken. The caller has
    checked the right to import.
    """
    client = LabelerClient(user)
    dataset = client.get(dataset_id)
    if not client.permission(dataset_id):
        raise LabelerRefused(gettext("The labeler does not let you take this dataset."))
    same = {"organization": organization, "source_kind": LABELER, "source": dataset.id, "state__in": ON_ITS_WAY}
    if there := DatasetImport.objects.filter(**same).first():
        return there
    facts = {"source_kind": LABELER, "source": dataset.id, "created_by": user}
    try:
        name = name_checked(organization, dataset.name)
        with transaction.atomic():
            asked = DatasetImport.objects.create(organization=organization, name=name, **facts)
            audit("dataset_import.ask", asked, by=user, new={"name": name, "source": f"{LABELER}:{dataset.id}"})
    except DatasetError as error:
        raise ValidationError({"name": str(error)}) from error
    except IntegrityError as error:
        raise ValidationError(
            {"name": gettext("Another import under the name %(name)s is on its way.") % {"name": dataset.name}}
        ) from error
    transaction.on_commit(lambda: queue_wake("imports"))
    return asked


def labeler_imports(visible: "QuerySet[DatasetImport]", datasets: Sequence[LabelerDataset]) -> dict[str, DatasetImport]:
    """The latest import of each of the labeler's datasets among those that are visible, by its id there."""
    mine = visible.filter(source_kind=LABELER, source__in=[one.id for one in datasets])
    return {one.source: one for one in mine.order_by("id").select_related("dataset")}


@contextmanager
def labeler_folder(claimed: DatasetImport, progress: Progress) -> Iterator[Path]:
    """The dataset as a folder, for as long as it is read. Raises DatasetError with a message for people."""
    with fetched_folder(claimed.created_by, claimed.source, f"{claimed.pk}-{claimed.attempt}", progress) as folder:
        yield folder


@contextmanager
def fetched_folder(user: User | None, dataset_id: str, name: str, progress: Progress | None) -> Iterator[Path]:
    """The same of what a person may take; `name` is that of the folder it is fetched into."""
    with work_folder(name) as work:
        archive, target = work / "data.zip", work / "data"
        target.mkdir()
        client = LabelerClient(user)
        try:
            if not client.permission(dataset_id):
                raise LabelerRefused("The labeler does not let you take this dataset.")
            _fetch(client.download(dataset_id), archive, progress)
        except LabelerError as error:
            raise DatasetError(str(error)) from error
        folder = archive_unpack(archive, target, limits(), progress)
        archive.unlink()
        yield folder


def _fetch(told: LabelerFile, target: Path, progress: Progress | None) -> None:
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
                if progress:
                    progress("Downloading", received, told.size)
                if received > told.size:
                    break
    except httpx.HTTPError as error:
        raise DatasetError("The labeler's store broke off. Ask for the import again.") from error
    if received != told.size or (told.sha256 and digest.hexdigest() != told.sha256):
        raise DatasetError("What the labeler sent is not what it announced. Ask for the import again.")
