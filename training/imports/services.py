"""What people do with imports: ask for one and cancel it. The caller has checked the person's right."""

from pathlib import Path

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from training.datasets.formats.registry import format_list
from training.datasets.scan import DatasetError
from training.datasets.services import folder_checked, name_checked
from training.jobs.transition import NotAllowed
from training.jobs.wakeups import queue_wake
from training.models import ON_ITS_WAY, DatasetImport, ImportState, Organization, User
from training.people.audit import audit

FOLDER = "folder"


def import_ask(
    organization: Organization, name: str, folder: str, user: User, *, format_name: str = "", task_type: str = ""
) -> DatasetImport:
    """An import of a folder on the server, to be run by a maintenance worker.

    `format_name` and `task_type` settle what the folder leaves in doubt. The
    same asked for while it is on its way is the one that is on its way.
    Raises ValidationError with a message per field.
    """
    source = _source_checked(folder)
    said = _kind_checked(format_name, task_type)
    try:
        name = name_checked(organization, name or Path(source).name)
    except DatasetError as error:
        raise ValidationError({"name": str(error)}) from error
    try:
        with transaction.atomic():
            asked = DatasetImport.objects.create(
                organization=organization, name=name, source_kind=FOLDER, source=source, created_by=user, **said
            )
            new = {"name": name, "source": source} | {field: value for field, value in said.items() if value}
            audit("dataset_import.ask", asked, by=user, new=new)
    except IntegrityError as error:
        return _same(organization, name, {"source": source, **said}, error)
    transaction.on_commit(lambda: queue_wake("imports"))
    return asked


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
            raise NotAllowed("The import has ended: there is nothing to cancel.")
    return DatasetImport.objects.get(pk=asked.pk)


def _source_checked(folder: str) -> str:
    if not folder.strip():
        raise ValidationError({"folder": "Choose a folder."})
    try:
        return str(folder_checked(Path(folder.strip())))
    except DatasetError as error:
        raise ValidationError({"folder": str(error)}) from error


def _kind_checked(format_name: str, task_type: str) -> dict[str, str]:
    """The format and the task that a person named. Raises ValidationError for what there is not."""
    formats = format_list()
    tasks = {one.TASK for name, one in formats.items() if format_name in ("", name)}
    if format_name and format_name not in formats:
        raise ValidationError({"format": f"There is no format {format_name}; there are {', '.join(formats)}."})
    if task_type and task_type not in tasks:
        raise ValidationError({"task_type": f"{format_name or 'No format'} is not for {task_type}."})
    return {"format_name": format_name, "task_type": task_type}


def _same(organization: Organization, name: str, said: dict[str, str], error: IntegrityError) -> DatasetImport:
    """The import that is on its way under this name, if it is of the same folder, read as the same."""
    there = DatasetImport.objects.filter(organization=organization, name=name, state__in=ON_ITS_WAY).first()
    if there and all(getattr(there, field) == value for field, value in said.items()):
        return there
    raise ValidationError({"name": f"Another import under the name {name} is on its way."}) from error
