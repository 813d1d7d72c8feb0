"""What people do with imports: ask for one and cancel it. The caller has checked the person's right."""

from dataclasses import dataclass
from pathlib import Path

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext

from training.datasets.formats.registry import format_choices
from training.datasets.scan import DatasetError
from training.datasets.services import folder_checked, name_checked
from training.imports.archives import archive_stem
from training.imports.objects import place_checked
from training.imports.sources import FOLDER, S3, UPLOAD
from training.imports.uploads import upload_missing
from training.jobs.transition import NotAllowed
from training.jobs.wakeups import queue_wake
from training.models import ON_ITS_WAY, DatasetImport, DatasetUpload, ImportState, Organization, User
from training.people.audit import audit


@dataclass(frozen=True, slots=True)
class Source:
    """What is to be imported: one of the three kinds of `sources`, and how it is told."""

    kind: str
    address: str
    name: str  # of the dataset, where nobody gives it one
    upload: DatasetUpload | None = None


def import_ask(
    organization: Organization,
    name: str,
    folder: str,
    user: User,
    *,
    upload: DatasetUpload | None = None,
    address: str = "",
    format_name: str = "",
    task_type: str = "",
) -> DatasetImport:
    """An import of a folder on the server, of an uploaded archive or of an object store's place, run by a worker.

    `format_name` and `task_type` settle what the data themselves leave in
    doubt. The same asked for while it is on its way is the one that is on its
    way. Raises ValidationError with a message per field.
    """
    source = _source_checked(organization, folder, upload, address)
    _wanted_check(format_name, task_type)
    try:
        name = name_checked(organization, name or source.name)
    except DatasetError as error:
        raise ValidationError({"name": str(error)}) from error
    wanted = {"wanted_format": format_name, "wanted_task": task_type, "created_by": user}
    told = {"source_kind": source.kind, "source": source.address, "upload": source.upload}
    try:
        with transaction.atomic():
            if source.upload and (there := _of_upload(source.upload)):
                return _same(there, name, source)
            asked = DatasetImport.objects.create(organization=organization, name=name, **told, **wanted)
            kind = {"format": format_name, "task": task_type}
            new = {"name": name, "source": source.address} | {field: said for field, said in kind.items() if said}
            audit("dataset_import.ask", asked, by=user, new=new)
    except IntegrityError as error:
        found = DatasetImport.objects.filter(organization=organization, name=name, state__in=ON_ITS_WAY).first()
        if found is None:
            raise ValidationError(
                {"name": gettext("Another import under the name %(name)s was on its way.") % {"name": name}}
            ) from error
        return _same(found, name, source)
    transaction.on_commit(lambda: queue_wake("imports"))
    return asked


def import_again(asked: DatasetImport, user: User, format_name: str = "", task_type: str = "") -> DatasetImport:
    """The same import once more, perhaps read as another format or task. Raises ValidationError."""
    folder, address = (asked.source if asked.source_kind == kind else "" for kind in (FOLDER, S3))
    if asked.source_kind == UPLOAD and asked.upload is None:
        raise ValidationError({"upload": gettext("The uploaded archive is not kept any more: upload it again.")})
    wanted = {"format_name": format_name, "task_type": task_type}
    return import_ask(asked.organization, asked.name, folder, user, upload=asked.upload, address=address, **wanted)


def import_cancel(asked: DatasetImport) -> DatasetImport:
    """Cancel an import: at once while it waits, else as soon as its worker looks.

    Raises NotAllowed once it has ended.
    """
    with transaction.atomic():
        locked = DatasetImport.objects.select_for_update(no_key=True).get(pk=asked.pk)
        before = {"state": locked.state}
        if locked.state == ImportState.QUEUED:
            ended = {"state": ImportState.CANCELLED, "ended_at": Now()}
            DatasetImport.objects.filter(pk=asked.pk).update(cancel_requested_at=Now(), **ended)
            audit("dataset_import.cancel", locked, old=before)
        elif locked.state == ImportState.RUNNING:
            rows = DatasetImport.objects.filter(pk=asked.pk, cancel_requested_at=None)
            if rows.update(cancel_requested_at=Now()):
                audit("dataset_import.cancel", locked, old=before)
        elif locked.state != ImportState.CANCELLED:
            raise NotAllowed(gettext("The import has ended: there is nothing to cancel."))
    return DatasetImport.objects.get(pk=asked.pk)


def _source_checked(organization: Organization, folder: str, upload: DatasetUpload | None, address: str) -> Source:
    """The one source that was told."""
    if upload is not None:
        missing = upload_missing(upload)
        if missing:
            raise ValidationError(
                {
                    "upload": gettext("%(missing)s of its parts have not arrived, part %(first)s first.")
                    % {"missing": len(missing), "first": missing[0]}
                }
            )
        return Source(UPLOAD, upload.filename, archive_stem(upload.filename), upload)
    if address.strip():
        try:
            place = place_checked(organization, address)
        except DatasetError as error:
            raise ValidationError({"address": str(error)}) from error
        return Source(S3, place, place.rpartition("/")[2])
    if not folder.strip():
        raise ValidationError({"folder": gettext("Choose a folder.")})
    try:
        path = folder_checked(Path(folder.strip()))
    except DatasetError as error:
        raise ValidationError({"folder": str(error)}) from error
    return Source(FOLDER, str(path), path.name)


def _wanted_check(format_name: str, task_type: str) -> None:
    try:
        format_choices(format_name, task_type)
    except DatasetError as error:
        raise ValidationError({"format" if format_name else "task": str(error)}) from error


def _of_upload(upload: DatasetUpload) -> DatasetImport | None:
    """The import of an upload that is on its way; others who ask wait until the caller's transaction ends."""
    if not DatasetUpload.objects.select_for_update().filter(pk=upload.pk).exists():
        raise ValidationError({"upload": gettext("The upload is not there any more.")})
    return DatasetImport.objects.filter(upload=upload, state__in=ON_ITS_WAY).first()


def _same(there: DatasetImport, name: str, source: Source) -> DatasetImport:
    """The import that is on its way, if it is what was asked for."""
    same = (there.source_kind, there.source, there.upload_id) == (
        source.kind,
        source.address,
        source.upload.pk if source.upload else None,
    )
    if same and there.name == name:
        return there
    if same:
        raise ValidationError({"upload": gettext("It is being imported already, as %(name)s.") % {"name": there.name}})
    raise ValidationError({"name": gettext("Another import under the name %(name)s is on its way.") % {"name": name}})
