"""What people do with datasets: import one from a folder, checked on the way, and delete it."""

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.utils.translation import gettext

from training.datasets.digests import digests_keep, digests_key
from training.datasets.findings import findings_add
from training.datasets.formats.registry import format_find
from training.datasets.pictures import offender_key, pictures_all, pictures_key
from training.datasets.roles import file_role
from training.datasets.scan import DatasetError, Progress, Scan, plain
from training.datasets.split import GROUP, SplitError, SplitShares
from training.models import Dataset, Organization, StoredRemoval, User
from training.people.audit import audit, audit_changes
from training.storage.store import external_store, internal_store

logger = logging.getLogger(__name__)
NAME_LENGTH = 120
DESCRIPTION_LENGTH = 2000


class DatasetInUse(Exception):
    """Jobs were trained on the dataset; the message is for the person who wanted to delete it."""


def dataset_import(
    organization: Organization,
    name: str,
    folder: Path,
    user: User | None,
    progress: Progress | None = None,
    *,
    anywhere: bool = False,
    format_name: str = "",
    task_type: str = "",
    prefix: str = "",
    made: Callable[[Dataset], None] | None = None,
) -> Dataset:
    """Copy what can be trained on into the external store, in normal form, and make a dataset of it.

    Images that are none and labels with a bad line are left out and named in
    the dataset's `report`. Raises DatasetError, with a message for people and
    the report, where nothing could be trained; then nothing is left behind.
    `format_name` and `task_type` settle what the folder itself leaves in doubt.
    The folder must lie below one of IMPORT_ROOTS, unless the operator asks
    for `anywhere`. `made` is called in the transaction that makes the dataset,
    and may undo it by raising. The caller has checked the person's right to import.
    """
    name = name_checked(organization, name)
    folder = folder_checked(Path(folder), anywhere)
    scan = _scan(folder, progress, format_name, task_type)
    _trainable_or_refuse(scan, folder.name)
    _inspect(scan, folder.name, progress)
    prefix = prefix or prefix_new()
    try:
        size, digests = _copy(scan, prefix, progress)
        with transaction.atomic():
            dataset = _create(organization, name, prefix, scan, user, size)
            audit("dataset.import", dataset, by=user, new={"name": name, "format": scan.format, "images": scan.found})
            if made:
                made(dataset)
    except IntegrityError as error:
        external_store().delete_all(prefix)
        raise _name_taken(name) from error
    except BaseException:  # Ctrl-C too must leave nothing behind
        external_store().delete_all(prefix)
        raise
    _digests_keep(prefix, digests)
    _gallery_prepare(dataset, scan)
    return dataset


def dataset_delete(dataset: Dataset) -> None:
    """Remove a dataset with its snapshots. Raises DatasetInUse, and removes nothing, while a job needs it.

    The caller has checked the person's right. Which files belong to nothing
    any more is written down in the same transaction; a maintenance worker
    removes them.
    """
    manifests = list(dataset.snapshots.values_list("manifest_key", flat=True))
    prefix = dataset.prefix
    try:
        with transaction.atomic():
            audit("dataset.delete", dataset, old={"name": dataset.name, "format": dataset.format})
            dataset.snapshots.all().delete()
            dataset.delete()
            _files_leave(prefix, manifests)
    except (ProtectedError, IntegrityError) as error:  # the second: a job was made at this very moment
        count = dataset.jobs.count()
        message = gettext("%(name)s was not deleted: a job needs it to tell what was trained on.")
        if count > 1:
            message = gettext("%(name)s was not deleted: %(count)s jobs need it to tell what was trained on.")
        raise DatasetInUse(message % {"name": dataset.name, "count": count}) from error


def dataset_edit(
    dataset: Dataset, name: str, description: str, split: dict[str, Any] | None = None, *, by: User | None = None
) -> Dataset:
    """Give a dataset another name, description and split. Raises ValidationError with a message per field.

    `split` is as `SplitShares.read` takes it: of jobs that are made from now
    on; empty for the dataset's own, None to leave it.
    """
    description = description.replace("\r\n", "\n").strip()
    if len(description) > DESCRIPTION_LENGTH or "\x00" in description:
        raise ValidationError({"description": gettext("At most %(most)s characters.") % {"most": DESCRIPTION_LENGTH}})
    old = {"name": dataset.name, "description": dataset.description, "split": dataset.split_config}
    try:
        if split:
            SplitShares.read(split)
    except SplitError as error:
        raise ValidationError({_split_field(split or {}): str(error)}) from error
    try:
        if name.strip() != dataset.name:
            dataset.name = name_checked(dataset.organization, name)
        dataset.description = description
        dataset.split_config = dataset.split_config if split is None else split
        with transaction.atomic():
            dataset.save(update_fields=["name", "description", "split_config"])
            new = {"name": dataset.name, "description": description, "split": dataset.split_config}
            audit_changes("dataset.edit", dataset, old, new, by=by)
    except IntegrityError as error:  # somebody took the name at this very moment
        raise ValidationError({"name": str(_name_taken(name))}) from error
    except DatasetError as error:
        raise ValidationError({"name": str(error)}) from error
    return dataset


def _split_field(split: dict[str, Any]) -> str:
    """The field at which a wrong split is told."""
    fitting = isinstance(split.get("group", ""), str) and GROUP.fullmatch(split.get("group", ""))
    return "val" if fitting else "group"


def prefix_new() -> str:
    """A place of its own in the external store."""
    return f"datasets/{uuid4().hex}"


def _files_leave(prefix: str, manifests: list[str]) -> None:
    """Write down what is to be removed from the stores."""
    keys = [key for manifest in manifests for key in (manifest, manifest.removesuffix(".gz"))]
    rows = [StoredRemoval(store="internal", key=key, below=False) for key in keys]
    rows.append(StoredRemoval(store="internal", key=digests_key(prefix), below=False))
    rows.append(StoredRemoval(store="internal", key=pictures_key(prefix), below=True))
    rows.append(StoredRemoval(store="external", key=prefix, below=True))
    StoredRemoval.objects.bulk_create(rows)


def _digests_keep(prefix: str, digests: dict[str, bytes]) -> None:
    """What the images are now, so that a snapshot needs not read them."""
    try:
        digests_keep(prefix, digests)
    except OSError:
        logger.exception("The images below %s will be read for the first snapshot", prefix)


def _gallery_prepare(dataset: Dataset, scan: Scan) -> None:
    """Read the labels for the gallery now, so that nobody waits on a page; keep pictures of what was left out."""
    try:
        for number, small in enumerate(scan.pictures):
            internal_store().put(offender_key(dataset, number), small, durable=False)
        pictures_all(dataset)
    except OSError:
        logger.exception("The gallery of %s will be made when somebody looks at it", dataset)


def name_checked(organization: Organization, name: str) -> str:
    """`name` as it is kept. Raises DatasetError for one that is taken or can't be kept."""
    name = plain(name.strip())
    if not 0 < len(name) <= NAME_LENGTH:
        raise DatasetError(gettext("A dataset needs a name of at most %(most)s characters.") % {"most": NAME_LENGTH})
    if Dataset.objects.filter(organization=organization, name=name).exists():
        raise _name_taken(name)
    return name


def _name_taken(name: str) -> DatasetError:
    return DatasetError(gettext("There is already a dataset called %(name)s in this organization.") % {"name": name})


def folder_checked(folder: Path, anywhere: bool = False) -> Path:
    """The folder without links; the same refusal whether it is missing or not allowed tells nobody what is there."""
    try:
        resolved = folder.resolve()
    except (ValueError, OSError, RuntimeError) as error:  # NUL in the name, a name too long, links in a circle
        raise DatasetError(gettext("%(folder)s: this is no folder's name.") % {"folder": folder}) from error
    allowed = anywhere or any(resolved.is_relative_to(root) for root in settings.IMPORT_ROOTS)
    if not allowed or not os.path.isdir(resolved):
        message = gettext("%(folder)s: there is no such folder below one of IMPORT_ROOTS.")
        raise DatasetError(
            (gettext("%(folder)s: there is no such folder.") if anywhere else message) % {"folder": folder}
        )
    return resolved


def _scan(folder: Path, progress: Progress | None, format_name: str, task_type: str) -> Scan:
    try:
        return format_find(folder, format_name, task_type).scan(folder, progress)
    except OSError as error:  # one bad file is a problem in the scan; this is a folder or a disk that fails
        raise DatasetError(f"{folder.name} can't be read: {error.strerror or error}.") from error


def _inspect(scan: Scan, folder: str, progress: Progress | None) -> None:
    try:
        findings_add(scan, progress)
    except OSError as error:  # a file that was there a moment ago
        raise DatasetError(f"{folder} can't be read: {error.strerror or error}.", scan.report()) from error


def _trainable_or_refuse(scan: Scan, folder: str) -> None:
    reason = _untrainable(scan, folder)
    if reason:
        found = "; ".join(scan.problems.sentences[:3])
        raise DatasetError(f"{reason} Problems: {found}." if found else reason, scan.report())


def _untrainable(scan: Scan, folder: str) -> str:
    """Why nothing can be trained on this, or nothing."""
    if not scan.found:
        return f"{folder}: there are no images in it."
    if not scan.images:
        return f"{folder}: none of the {scan.found} images can be used."
    if not any(image.instances for image in scan.images):
        return f"{folder}: no image has a label that can be used."
    if not scan.split:
        return "" if len(scan.images) > 1 else f"{folder}: one image is not enough; some are needed for validation."
    return _split_untrainable(scan, folder)


def _split_untrainable(scan: Scan, folder: str) -> str:
    for part, purpose in (("train", "training"), ("val", "validation")):
        if part not in scan.split.values():
            return f"{folder}: there is no folder images/{part}; without images for {purpose} nothing can be trained."
        images = [image for image in scan.images if image.split == part]
        if not images:
            return f"{folder}: the split {part} is empty: no image in it can be used for {purpose}."
        if not any(image.instances for image in images):
            return f"{folder}: no image of the split {part} has a label that can be used."
    return ""


def _copy(scan: Scan, prefix: str, progress: Progress | None) -> tuple[int, dict[str, bytes]]:
    """Copy the files of the normal form; all are safely stored once this returns.

    How many bytes they are, and the SHA-256 of each image by its path.
    """
    store, size = external_store(), 0
    digests: dict[str, bytes] = {}
    count = scan.file_count()
    for done, (path, source) in enumerate(scan.files(), start=1):
        try:
            size += store.put(f"{prefix}/{path}", source, durable=False).size
            if isinstance(source, Path) and file_role(path) == "image":
                digests[path] = _sha256(source)
        except OSError as error:
            raise DatasetError(f"{path} could not be copied: {error.strerror or error}.", scan.report()) from error
        if progress:
            progress("Copying", done, count)
    store.settle()
    return size, digests


def _sha256(file: Path) -> bytes:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").digest()


def _create(organization: Organization, name: str, prefix: str, scan: Scan, user: User | None, size: int) -> Dataset:
    return Dataset.objects.create(
        organization=organization,
        name=name,
        format=scan.format,
        task_type=scan.task_type,
        prefix=prefix,
        classes=scan.classes,
        report=scan.report(),
        split=scan.split,
        total_bytes=size,
        created_by=user,
    )
