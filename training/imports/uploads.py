"""Archives that people send in parts: begun, gone on with, put together by a worker, forgotten when nobody goes on."""

import hashlib
import re
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext

from training.datasets.scan import Progress, plain
from training.imports.archives import ENDINGS, ArchiveError, archive_stem
from training.jobs.transition import NotAllowed
from training.models import ON_ITS_WAY, DatasetUpload, DatasetUploadPart, Organization, StoredRemoval, User
from training.models.visibility import OrganizationQuerySet
from training.people.audit import audit
from training.storage.store import ObjectMissing, internal_store

PART_BYTES = 8 * 1024 * 1024
UNFINISHED = 20  # uploads that one person may have on the way
FILENAME_LENGTH = 200


def uploads_visible(user: User | AnonymousUser, organization_id: int | None = None) -> OrganizationQuerySet:
    """The uploads that a person may see, newest first; of one organization only, if it is told."""
    uploads: OrganizationQuerySet = DatasetUpload.objects.visible_to(user, organization_id)
    return uploads.select_related("organization", "created_by").order_by("-id")


def upload_begin(user: User, organization: Organization, filename: str, size: int, sha256: str = "") -> DatasetUpload:
    """An upload to send parts to; the same file again goes on with the same one.

    Raises ValidationError with a message per field. The caller has checked the person's right.
    """
    filename = plain(filename.strip().replace("\\", "/").rpartition("/")[2])
    _words_check(filename, size, sha256)
    mine = DatasetUpload.objects.filter(organization=organization, created_by=user)
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)  # asked twice at once, it is one
        found = mine.filter(filename=filename, size=size, sha256=sha256).order_by("-id").first()
        if found:
            DatasetUpload.objects.filter(pk=found.pk).update(touched_at=Now())
            return found
        if mine.count() >= UNFINISHED:
            raise ValidationError(
                {
                    "filename": gettext("You have %(unfinished)s uploads that are not imported: delete some.")
                    % {"unfinished": UNFINISHED}
                }
            )
        made = DatasetUpload.objects.create(
            organization=organization,
            filename=filename,
            key=f"uploads/{organization.pk}/{uuid4().hex}",
            size=size,
            part_size=PART_BYTES,
            sha256=sha256,
            created_by=user,
        )
        audit("upload.begin", made, by=user, new={"filename": filename, "size": size})
    return made


def upload_part(upload: DatasetUpload, number: int, data: bytes, sha256: str) -> None:
    """Keep a part; the same again changes nothing, other bytes take its place.

    Raises ValidationError where size or checksum are not the part's, NotAllowed while the archive is being imported.
    """
    if not 1 <= number <= upload.part_count:
        raise ValidationError(
            {"number": gettext("The parts are numbered 1 to %(part_count)s.") % {"part_count": upload.part_count}}
        )
    if len(data) != upload.part_bytes(number):
        raise ValidationError(
            {
                "size": gettext("Part %(number)s has %(size)s bytes, not %(arrived)s.")
                % {"number": number, "size": f"{upload.part_bytes(number):,}", "arrived": f"{len(data):,}"}
            }
        )
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ValidationError({"sha256": gettext("The bytes that arrived have another SHA-256: send the part again.")})
    if upload.parts.filter(number=number, sha256=sha256).exists():
        return
    _not_imported(upload)
    internal_store().put(_part_key(upload, number), data)
    with transaction.atomic():
        if not DatasetUpload.objects.filter(pk=upload.pk).update(touched_at=Now()):
            raise NotAllowed(gettext("The upload has been deleted."))
        DatasetUploadPart.objects.update_or_create(upload=upload, number=number, defaults={"sha256": sha256})


def upload_missing(upload: DatasetUpload) -> list[int]:
    """The numbers of the parts that have not come yet."""
    there = set(upload.parts.values_list("number", flat=True))
    return [number for number in range(1, upload.part_count + 1) if number not in there]


def upload_join(upload: DatasetUpload, archive: Path, progress: Progress) -> None:
    """Write the parts one after another into a file, checking each. Raises ArchiveError."""
    sums = dict(upload.parts.values_list("number", "sha256"))
    whole, done = hashlib.sha256(), 0
    with archive.open("wb") as file:
        for number in range(1, upload.part_count + 1):
            try:
                data = internal_store().get(_part_key(upload, number))
            except ObjectMissing as error:
                raise ArchiveError(f"Part {number} of the upload is gone: upload {upload.filename} again.") from error
            if hashlib.sha256(data).hexdigest() != sums.get(number):
                raise ArchiveError(f"Part {number} of the upload is damaged: upload {upload.filename} again.")
            file.write(data)
            whole.update(data)
            done += len(data)
            progress("Joining", done, upload.size)
    if upload.sha256 and whole.hexdigest() != upload.sha256:
        raise ArchiveError(f"{upload.filename} has not the SHA-256 that was announced: upload it again.")


def upload_delete(upload: DatasetUpload, by: User | None = None) -> None:
    """Forget an upload; a worker removes its parts. Raises NotAllowed while it is being imported."""
    with transaction.atomic():
        locked = DatasetUpload.objects.select_for_update().filter(pk=upload.pk).first()
        if locked is None:
            return
        _not_imported(locked)
        audit("upload.delete", locked, by=by, old={"filename": locked.filename, "size": locked.size})
        upload_forget(locked)


def upload_forget(upload: DatasetUpload) -> None:
    """Delete the row, and write down that its parts are to be removed; within the caller's transaction."""
    StoredRemoval.objects.create(store="internal", key=upload.key, below=True)
    upload.delete()


def uploads_sweep() -> int:
    """Forget uploads that nobody has gone on with for UPLOAD_KEEP_HOURS; how many there were."""
    old = timezone.now() - timedelta(hours=settings.UPLOAD_KEEP_HOURS)
    forgotten = 0
    for upload in DatasetUpload.objects.filter(touched_at__lt=old).order_by("id")[:100]:
        with transaction.atomic():
            locked = DatasetUpload.objects.select_for_update().filter(pk=upload.pk, touched_at__lt=old).first()
            if locked and not locked.imports.filter(state__in=ON_ITS_WAY).exists():
                upload_forget(locked)
                forgotten += 1
    return forgotten


def _part_key(upload: DatasetUpload, number: int) -> str:
    return f"{upload.key}/{number:06d}"


def _not_imported(upload: DatasetUpload) -> None:
    if upload.imports.filter(state__in=ON_ITS_WAY).exists():
        raise NotAllowed(gettext("%(filename)s is being imported.") % {"filename": upload.filename})


def _words_check(filename: str, size: int, sha256: str) -> None:
    most = int(settings.UPLOAD_MAX_GB * 1e9)
    wrong: dict[str, str] = {}
    if not archive_stem(filename) or len(filename) > FILENAME_LENGTH:
        wrong["filename"] = gettext("An archive's name ends in %(endings)s.") % {"endings": ", ".join(sorted(ENDINGS))}
    if not 0 < size <= most:
        wrong["size"] = gettext("An archive has 1 to %(most)s bytes.") % {"most": f"{most:,}"}
    if sha256 and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        wrong["sha256"] = gettext("It must be 64 hexadecimal digits in lower case.")
    if wrong:
        raise ValidationError(wrong)
