"""Pretrained weights: taken from people in parts, kept, handed to trainers by a signed address; never opened here."""

import hashlib
import logging
import re
from datetime import timedelta
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import NamedTemporaryFile
from typing import Any
from uuid import uuid4

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext

from training.models import Checkpoint, Organization, PretrainedWeights, TrainingJob, User
from training.models.visibility import OrganizationQuerySet
from training.people.audit import audit
from training.storage.store import GET_SECONDS, PUT_SECONDS, ObjectMissing, internal_store
from training.templatetags.text import plain_text
from training.trainers import Trainer, trainers_all

logger = logging.getLogger(__name__)
MAX_BYTES = 16 * 1024**3
NAME_LENGTH = 120
ZIP = b"PK\x03\x04"  # PyTorch writes its files as archives since 1.6; older ones are bare pickles
UNFINISHED_SECONDS = 24 * 3600


class WeightsInUse(Exception):
    """Jobs began from the weights; the message is for the person who wanted to delete them."""


def weights_visible(user: User | AnonymousUser, organization_id: int | None = None) -> OrganizationQuerySet:
    """The weights that a person may see, newest first; of one organization only, if it is told."""
    rows: OrganizationQuerySet = PretrainedWeights.objects.visible_to(user, organization_id)
    return rows.select_related("organization", "created_by").order_by("-created_at", "-id")


def weights_fitting(organization: Organization, framework: str, task_type: str) -> list[PretrainedWeights]:
    """The whole weights of an organization from which such a job may begin."""
    stored = PretrainedWeights.objects.filter(organization=organization, stored_at__isnull=False)
    return list(stored.filter(framework=framework, task_type=task_type).order_by("name"))


def weights_begin(
    user: User | None,
    organization: Organization,
    *,
    name: str,
    framework: str,
    task_type: str,
    size: int,
    sha256: str,
    filename: str = "weights.pt",
) -> PretrainedWeights:
    """The row of weights that are about to be uploaded; `weights_upload` tells where to.

    The same words again go on with the same upload. Raises ValidationError with a message per field. The caller has
    checked the person's right.
    """
    ending = PurePosixPath(filename).suffix.lower()
    name = plain_text(name.strip())
    _words_check(name, framework, task_type, ending, size, sha256)
    found = PretrainedWeights.objects.filter(organization=organization, name=name).first()
    if found and (found.stored_at or (found.size, found.sha256) != (size, sha256)):
        if found.stored_at or found.created_by_id != (user.pk if user else None):
            raise _name_taken(name)
        weights_delete(found)
        found = None
    key = f"weights/{organization.pk}/{uuid4().hex}{ending}"
    fields = {"framework": framework, "task_type": task_type, "size": size, "sha256": sha256, "created_by": user}
    try:
        with transaction.atomic():
            return found or PretrainedWeights.objects.create(organization=organization, name=name, key=key, **fields)
    except IntegrityError as error:  # the same name at the same moment
        raise _name_taken(name) from error


def weights_upload(weights: PretrainedWeights) -> dict[str, Any]:
    """{"url", "part_size"}: the address, good for two hours, that takes exactly these bytes, in parts."""
    store = internal_store()
    url = store.presign_put(weights.key, weights.size, weights.sha256, PUT_SECONDS)
    return {"url": url, "part_size": store.part_size}


def weights_finish(weights: PretrainedWeights) -> PretrainedWeights:
    """Find the whole file with the right checksum in the store; jobs may begin from it then. A repeat is harmless.

    Raises ValidationError where it is not there, or is no weights file; what is none is removed.
    """
    if weights.stored_at:
        return weights
    store = internal_store()
    try:
        whole = store.stat(weights.key)
        if whole is None or whole.size != weights.size or store.sha256(weights.key) != weights.sha256:
            raise ValidationError(
                {"file": gettext("The file has not arrived whole: upload it again, it goes on where it was.")}
            )
    except ObjectMissing as error:
        raise ValidationError({"file": gettext("The file has not arrived.")}) from error
    if weights.key.endswith(".pt") and next(store.read(weights.key, 0, 3), b"") != ZIP:
        weights_delete(weights)
        raise ValidationError({"file": gettext("This is no file of weights as PyTorch 1.6 and later write them.")})
    with transaction.atomic():
        if PretrainedWeights.objects.filter(pk=weights.pk, stored_at=None).update(stored_at=Now()):
            audit(
                "weights.upload", weights, by=weights.created_by, new={"size": weights.size, "sha256": weights.sha256}
            )
    weights.refresh_from_db()
    return weights


def weights_add(
    user: User | None, organization: Organization, path: Path, *, name: str, framework: str, task_type: str
) -> PretrainedWeights:
    """Weights from a file of this machine. Raises ValidationError, OSError."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    words = {"name": name, "framework": framework, "task_type": task_type, "filename": path.name}
    weights = weights_begin(user, organization, **words, size=path.stat().st_size, sha256=digest)
    internal_store().put(weights.key, path)
    return weights_finish(weights)


def weights_of_checkpoint(checkpoint: Checkpoint, user: User, name: str) -> PretrainedWeights:
    """A copy of a checkpoint as weights, which stays when the job goes. Raises ValidationError, ObjectMissing."""
    job = checkpoint.job
    trainer = trainers_all().get(job.trainer)
    weights = weights_begin(
        user,
        job.experiment.project.organization,
        name=name,
        framework=trainer.framework if trainer else job.trainer,
        task_type=job.task_type,
        size=checkpoint.size,
        sha256=checkpoint.sha256,
        filename=PurePosixPath(checkpoint.key).name,
    )
    _object_copy(checkpoint.key, weights.key)
    return weights_finish(weights)


def weights_delete(weights: PretrainedWeights) -> None:
    """Remove weights and their file. Raises WeightsInUse, and removes nothing, while a job began from them."""
    key = weights.key
    try:
        with transaction.atomic():
            count = TrainingJob.objects.filter(weights=weights).count()
            if weights.stored_at:
                audit("weights.delete", weights, old={"size": weights.size, "sha256": weights.sha256})
            weights.delete()
            transaction.on_commit(partial(_object_delete, key))
    except (ProtectedError, IntegrityError) as error:
        message = gettext("%(name)s was not deleted: a job began from it.")
        if count > 1:
            message = gettext("%(name)s was not deleted: %(count)s jobs began from it.")
        raise WeightsInUse(message % {"name": weights.name, "count": count}) from error


def weights_sweep() -> int:
    """Forget uploads that nobody has finished within a day; how many there were."""
    old = timezone.now() - timedelta(seconds=UNFINISHED_SECONDS)
    unfinished = list(PretrainedWeights.objects.filter(stored_at=None, created_at__lt=old)[:100])
    for weights in unfinished:
        weights_delete(weights)
    return len(unfinished)


def weights_check(weights: PretrainedWeights, trainer: Trainer, task_type: str, organization_id: int) -> None:
    """Raise ValidationError unless a job of this organization, trainer and task may begin from the weights."""
    if weights.organization_id != organization_id:
        raise ValidationError({"pretrained": gettext("There are no such weights.")})
    if weights.stored_at is None:
        raise ValidationError(
            {"pretrained": gettext("The upload of %(name)s is not finished.") % {"name": weights.name}}
        )
    if task_type not in trainer.tasks:
        raise ValidationError(
            {
                "task_type": gettext("%(label)s trains %(tasks)s, not %(task_type)s.")
                % {"label": trainer.label, "tasks": ", ".join(trainer.tasks), "task_type": task_type}
            }
        )
    if weights.framework != trainer.framework or weights.task_type != task_type:
        fits = gettext("%(framework)s and %(task_type)s") % {
            "framework": weights.framework,
            "task_type": weights.task_type,
        }
        raise ValidationError(
            {
                "pretrained": gettext("%(name)s is for %(fits)s, not %(framework)s and %(task_type)s.")
                % {"name": weights.name, "fits": fits, "framework": trainer.framework, "task_type": task_type}
            }
        )


def weights_file(weights: PretrainedWeights) -> str:
    """What a trainer asks for when it wants them."""
    return f"weights/{weights.pk}{PurePosixPath(weights.key).suffix}"


def weights_url(weights: PretrainedWeights) -> str:
    """An address, good for an hour, to download them."""
    return internal_store().presign_get(weights.key, GET_SECONDS, f"{weights.name}{PurePosixPath(weights.key).suffix}")


def frameworks_known() -> dict[str, list[str]]:
    """The frameworks whose trainers may begin from weights, each with its tasks."""
    found: dict[str, list[str]] = {}
    for trainer in trainers_all().values():
        if trainer.weights:
            found.setdefault(trainer.framework, []).extend(trainer.tasks)
    return {framework: list(dict.fromkeys(tasks)) for framework, tasks in found.items()}


def endings_known() -> list[str]:
    """The endings of files that some trainer can begin from."""
    able = (trainer for trainer in trainers_all().values() if trainer.weights)
    return sorted({ending for trainer in able for ending in trainer.weights_endings})


def _words_check(name: str, framework: str, task_type: str, ending: str, size: int, sha256: str) -> None:
    problems = {
        "name": ""
        if 0 < len(name) <= NAME_LENGTH
        else gettext("A name has 1 to %(most)s characters.") % {"most": NAME_LENGTH},
        "framework": _framework_problem(framework, task_type),
        "file": _file_problem(ending, size),
        "sha256": ""
        if re.fullmatch(r"[0-9a-f]{64}", sha256)
        else gettext("It must be 64 hexadecimal digits in lower case."),
    }
    if wrong := {field: message for field, message in problems.items() if message}:
        raise ValidationError(wrong)


def _framework_problem(framework: str, task_type: str) -> str:
    known = frameworks_known()
    if framework not in known:
        return gettext("No trainer begins from weights of %(framework)s; known: %(known)s.") % {
            "framework": framework[:60],
            "known": ", ".join(known),
        }
    return (
        ""
        if task_type in known[framework]
        else gettext("%(framework)s trains %(known)s.") % {"framework": framework, "known": ", ".join(known[framework])}
    )


def _file_problem(ending: str, size: int) -> str:
    if ending not in endings_known():
        return gettext("A weights file ends in %(endings)s.") % {"endings": ", ".join(endings_known())}
    return (
        "" if 0 < size <= MAX_BYTES else gettext("A weights file has 1 to %(most)s bytes.") % {"most": f"{MAX_BYTES:,}"}
    )


def _name_taken(name: str) -> ValidationError:
    return ValidationError(
        {"name": gettext("There are already weights called %(name)s in this organization.") % {"name": name}}
    )


def _object_copy(source: str, target: str) -> None:
    """Copy within the store by way of a temporary file: an object may be larger than memory."""
    with NamedTemporaryFile() as file:
        for chunk in internal_store().read(source):
            file.write(chunk)
        file.flush()
        internal_store().put(target, Path(file.name))


def _object_delete(key: str) -> None:
    """An object that can't be deleted costs disk, and belongs to nothing any more."""
    try:
        internal_store().delete(key)
    except OSError:
        logger.warning("The deleted weights %s are left in the store.", key, exc_info=True)
