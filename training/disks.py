"""How full the stores and the data folder are: measured in the background, for a large folder takes time."""

import logging
import os
import shutil
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from training.models import DiskUse

EVERY = timedelta(minutes=10)
LABELS = {"internal": _("Checkpoints and snapshots"), "external": _("Datasets"), "data": _("Data folder, all of it")}
logger = logging.getLogger(__name__)


def disk_uses() -> list[tuple[str, DiskUse]]:
    """(what lies there, how much) of each place, as it was last measured."""
    found = {one.place: one for one in DiskUse.objects.all()}
    return [(str(label), found[place]) for place, label in LABELS.items() if place in found]


def disks_measure() -> int:
    """Measure what was measured longer than EVERY ago; how many places that were."""
    recent = set(DiskUse.objects.filter(measured_at__gt=timezone.now() - EVERY).values_list("place", flat=True))
    due = [place for place in LABELS if place not in recent]
    for place in due:
        DiskUse.objects.update_or_create(place=place, defaults=_measured(_folder(place)))
    return len(due)


def folder_use(folder: Path) -> tuple[int, int]:
    """(bytes, files) below a folder; links are not followed, and what vanishes meanwhile is not counted."""
    size = files = 0
    waiting = [os.fspath(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        files += 1
                        size += entry.stat(follow_symlinks=False).st_size
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            logger.debug("Not measured: %s", error)
    return size, files


def _folder(place: str) -> Path | None:
    """Where a place lies on this machine; None for a store that is a server of its own."""
    if place == "data":
        return Path(settings.DATA_DIR)
    url = urlsplit(settings.INTERNAL_STORAGE_URL if place == "internal" else settings.EXTERNAL_STORAGE_URL)
    return Path(unquote(url.path)) if url.scheme == "file" else None


def _measured(folder: Path | None) -> dict[str, object]:
    fields: dict[str, object] = {"measured_at": timezone.now(), "used": None, "files": None}
    if folder is None:
        return fields | {"free": None, "total": None}
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.is_dir())  # it may not be made yet
    disk = shutil.disk_usage(there)
    fields["used"], fields["files"] = folder_use(folder)
    return fields | {"free": disk.free, "total": disk.total}
