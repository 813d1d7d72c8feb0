"""Checkpoints: where an attempt may upload its weights, and what is kept of them."""

import logging
import re
from collections.abc import Iterable
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from django.db import transaction

from training.models import Checkpoint, JobAttempt
from training.storage.store import GET_SECONDS, PUT_SECONDS, InvalidKey, ObjectMissing, internal_store

KINDS = ("best", "last", "epoch")
KEPT_ONCE = ("best", "last")  # of these an attempt keeps only the newest
MAX_BYTES = 64 * 1024**3
logger = logging.getLogger(__name__)


class CheckpointRefused(ValueError):
    """What the trainer said of a checkpoint is not so; the message says what."""


def checkpoint_prefix(attempt: JobAttempt) -> str:
    """Below this lie the checkpoints of this attempt and of no other."""
    return f"jobs/{attempt.job_id}/attempts/{attempt.number}/checkpoints/"


def checkpoint_put_url(attempt: JobAttempt, kind: str, name: str, size: int, sha256: str) -> dict[str, Any]:
    """The key, and the addresses, good for two hours, that take exactly these bytes (`Store.upload_offer`).

    Another content has another key, so a running upload never touches the
    checkpoint before it. Raises CheckpointRefused.
    """
    if kind not in KINDS:
        raise CheckpointRefused(f"The kind of a checkpoint is {', '.join(KINDS)}, not {kind[:40]!r}.")
    if not 0 < size <= MAX_BYTES:
        raise CheckpointRefused(f"A checkpoint has 1 to {MAX_BYTES} bytes, not {size}.")
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise CheckpointRefused("sha256 must be 64 hexadecimal digits in lower case.")
    ending = PurePosixPath(name).suffix
    if not re.fullmatch(r"\.[A-Za-z0-9]{1,16}", ending):
        raise CheckpointRefused("The name of a checkpoint must have an ending such as .pt.")
    key = f"{checkpoint_prefix(attempt)}{kind}-{sha256[:12]}{ending}"
    return {"key": key, **internal_store().upload_offer(key, size, sha256, PUT_SECONDS)}


def checkpoint_get_url(checkpoint: Checkpoint) -> str:
    """An address, good for an hour, to download it."""
    ending = PurePosixPath(checkpoint.key).suffix
    filename = f"job-{checkpoint.job_id}-{checkpoint.kind}{ending}"
    return internal_store().presign_get(checkpoint.key, GET_SECONDS, filename)


def checkpoint_start_urls(attempt: JobAttempt, names: Iterable[str]) -> dict[str, str]:
    """Addresses for what the attempt was started with: `checkpoint/resume.pt`, `checkpoint/weights.pt`.

    KeyError for any other name: an attempt reads no other checkpoint.
    """
    given = {checkpoint_name(kind, one): one for kind, one in checkpoints_given(attempt).items()}
    return {name: checkpoint_get_url(given[name]) for name in names}


def checkpoints_given(attempt: JobAttempt) -> dict[str, Checkpoint]:
    """What the attempt starts from: `resume`, else the `weights` of another job, or nothing."""
    if attempt.resumed_from is not None:
        return {"resume": attempt.resumed_from}
    return {"weights": attempt.job.weights_from} if attempt.job.weights_from is not None else {}


def checkpoint_name(kind: str, checkpoint: Checkpoint) -> str:
    """Under which name a trainer asks for it."""
    return f"checkpoint/{kind}{PurePosixPath(checkpoint.key).suffix}"


def checkpoint_verify(attempt: JobAttempt, kind: str, key: str, size: int, sha256: str) -> None:
    """Look for the object itself; CheckpointRefused if it is not there, differs, or is not this attempt's.

    May read the whole object once; what it found is remembered by the store.
    """
    if kind not in KINDS or not key.startswith(f"{checkpoint_prefix(attempt)}{kind}-"):
        raise CheckpointRefused(f"{key[:200]} is no key for a checkpoint {kind[:40]!r} of this attempt.")
    try:
        stored = internal_store().stat(key)
        if stored is None or stored.size != size:
            there = f"{stored.size} bytes are" if stored else "no object is"
            raise CheckpointRefused(f"{key}: {there} there, not {size} bytes.")
        if internal_store().sha256(key) != sha256:
            raise CheckpointRefused(f"{key}: the object has another SHA-256.")
    except (InvalidKey, ObjectMissing) as error:
        raise CheckpointRefused(str(error)) from error


def checkpoint_register(
    attempt: JobAttempt,
    kind: str,
    epoch: int | None,
    step: int | None,
    key: str,
    size: int,
    sha256: str,
    metrics: dict[str, Any],
) -> Checkpoint:
    """Make a verified upload a checkpoint of the job; the same key again gives the same row.

    The older `best` or `last` of this attempt goes: its row with this
    transaction, its object once that is committed. Raises CheckpointRefused.
    The caller has locked the job and checked that the attempt is its newest.
    """
    checkpoint_verify(attempt, kind, key, size, sha256)
    with transaction.atomic():
        checkpoint, created = Checkpoint.objects.get_or_create(
            key=key,
            defaults={
                "job_id": attempt.job_id,
                "attempt": attempt,
                "kind": kind,
                "epoch": epoch,
                "step": step,
                "size": size,
                "sha256": sha256,
                "metrics": metrics,
            },
        )
        if created and kind in KEPT_ONCE:
            _older_delete(checkpoint)
    return checkpoint


def checkpoint_problems(attempt: JobAttempt) -> list[str]:
    """What is wrong with the checkpoints that the trainer listed at its end; empty if each is what it claims to be."""
    known = {checkpoint.key: checkpoint for checkpoint in attempt.checkpoints.all()}
    problems = []
    for key in attempt.listed_checkpoints:
        if key not in known:
            problems.append(f"{key[:200]} was listed, but never uploaded")
            continue
        found = known[key]
        try:
            checkpoint_verify(attempt, found.kind, key, found.size, found.sha256)
        except CheckpointRefused as refusal:
            problems.append(str(refusal))
    return problems


def _older_delete(newest: Checkpoint) -> None:
    older = Checkpoint.objects.filter(attempt=newest.attempt, kind=newest.kind).exclude(pk=newest.pk)
    keys = list(older.values_list("key", flat=True))
    older.delete()
    for key in keys:
        transaction.on_commit(partial(_object_delete, key))


def _object_delete(key: str) -> None:
    """A superseded object that can't be deleted costs disk, not the run."""
    try:
        internal_store().delete(key)
    except OSError:
        logger.warning("The superseded checkpoint %s could not be deleted.", key, exc_info=True)
