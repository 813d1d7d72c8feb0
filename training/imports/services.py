"""What people do with imports: ask for one and cancel it. The caller has checked the person's right."""

from pathlib import Path

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from training.datasets.scan import DatasetError
from training.datasets.services import folder_checked, name_checked
from training.jobs.transition import NotAllowed
from training.jobs.wakeups import queue_wake
from training.models import ON_ITS_WAY, DatasetImport, ImportState, Organization, User

FOLDER = "folder"


def import_ask(organization: Organization, name: str, folder: str, user: User) -> DatasetImport:
    """An import of a folder on the server, to be run by a maintenance worker.

    The same asked for while it is on its way is the one that is on its way.
    Raises ValidationError with a message per field.
    """
    source = _source_checked(folder)
    try:
        name = name_checked(organization, name or Path(source).name)
    except DatasetError as error:
        raise ValidationError({"name": str(error)}) from error
    try:
        with transaction.atomic():
            asked = DatasetImport.objects.create(
                organization=organization, name=name, source_kind=FOLDER, source=source, created_by=user
            )
    except IntegrityError as error:
        return _same(organization, name, source, error)
    transaction.on_commit(lambda: queue_wake("imports"))
    return asked


def import_cancel(asked: DatasetImport) -> DatasetImport:
    """Cancel an import: at once while it waits, else as soon as its worker looks.

    Raises NotAllowed once it has ended.
    """
    with transaction.atomic():
        locked = DatasetImport.objects.select_for_update(no_key=True).get(pk=asked.pk)
        if locked.state == ImportState.QUEUED:
            ended = {"state": ImportState.CANCELLED, "ended_at": Now()}
            DatasetImport.objects.filter(pk=asked.pk).update(cancel_requested_at=Now(), **ended)
        elif locked.state == ImportState.RUNNING:
            DatasetImport.objects.filter(pk=asked.pk, cancel_requested_at=None).update(cancel_requested_at=Now())
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


def _same(organization: Organization, name: str, source: str, error: IntegrityError) -> DatasetImport:
    """The import that is on its way under this name, if it is of the same folder."""
    there = DatasetImport.objects.filter(organization=organization, name=name, state__in=ON_ITS_WAY).first()
    if there and there.source == source:
        return there
    raise ValidationError({"name": f"Another import under the name {name} is on its way."}) from error
