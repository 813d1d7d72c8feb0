"""Artifacts: where an attempt may put the pictures and tables of its run, and which of them are kept."""

import hashlib
import re
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from django.db import transaction

from training.models import Artifact, JobAttempt
from training.storage.store import PUT_SECONDS, InvalidKey, ObjectMissing, internal_store

MAX_BYTES = 16 * 1024**2
MOST = 200  # of one attempt
# The ending of a name → what the bytes are then, and how they must begin. No SVG or HTML: they can hold scripts.
TYPES: dict[str, tuple[str, tuple[bytes, ...]]] = {
    ".png": ("image/png", (b"\x89PNG\r\n\x1a\n",)),
    ".jpg": ("image/jpeg", (b"\xff\xd8\xff",)),
    ".jpeg": ("image/jpeg", (b"\xff\xd8\xff",)),
    ".webp": ("image/webp", (b"RIFF",)),
    ".json": ("application/json", ()),
    ".csv": ("text/csv", ()),
}


class ArtifactRefused(ValueError):
    """What the trainer said of an artifact won't do, or is not so; the message says what."""


def artifact_prefix(attempt: JobAttempt) -> str:
    """Below this lie the artifacts of this attempt and of no other."""
    return f"jobs/{attempt.job_id}/attempts/{attempt.number}/artifacts/"


def artifact_put_url(attempt: JobAttempt, name: str, size: int, sha256: str) -> dict[str, Any]:
    """{"key", "url", "part_size"}: the address, good for two hours, that takes exactly these bytes.

    Raises ArtifactRefused.
    """
    key = artifact_key(attempt, name, sha256)
    if not 0 < size <= MAX_BYTES:
        raise ArtifactRefused(f"An artifact has 1 to {MAX_BYTES} bytes, not {size}.")
    if attempt.artifacts.count() >= MOST:
        raise ArtifactRefused(f"An attempt has at most {MOST} artifacts.")
    store = internal_store()
    return {"key": key, "url": store.presign_put(key, size, sha256, PUT_SECONDS), "part_size": store.part_size}


def artifact_verify(attempt: JobAttempt, key: str, size: int, sha256: str) -> str:
    """Look at the object itself; what it is. Raises ArtifactRefused if it is not what was said."""
    if not key.startswith(artifact_prefix(attempt)):
        raise ArtifactRefused(f"{key[:200]} is no key for an artifact of this attempt.")
    content_type, beginnings = TYPES[_ending(key)]
    store = internal_store()
    try:
        stored = store.stat(key)
        if stored is None or stored.size != size or store.sha256(key) != sha256:
            raise ArtifactRefused(f"{key}: these bytes are not there.")
        head = next(store.read(key, 0, 15), b"")
    except (InvalidKey, ObjectMissing) as error:
        raise ArtifactRefused(str(error)) from error
    if beginnings and not head.startswith(beginnings):
        raise ArtifactRefused(f"{key}: this is no {content_type}.")
    return content_type


def artifact_register(
    attempt: JobAttempt, content_type: str, *, kind: str, name: str, key: str, size: int, sha256: str, epoch: int | None
) -> tuple[Artifact, bool]:
    """Make a verified upload an artifact of the job; of one name an attempt keeps the newest. Whether it is new.

    Raises ArtifactRefused. The caller has locked the job and checked that the attempt is its newest.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", kind):
        raise ArtifactRefused("The kind of an artifact is one word in small letters.")
    if key != artifact_key(attempt, name, sha256):
        raise ArtifactRefused(f"{key[:200]} is not the key that was given for {name}.")
    if found := Artifact.objects.filter(key=key).first():
        return found, False
    for older in attempt.artifacts.filter(name=name):
        older.delete()
        transaction.on_commit(partial(internal_store().delete, older.key), robust=True)
    fields = {"kind": kind, "size": size, "sha256": sha256, "content_type": content_type, "epoch": epoch}
    made = Artifact.objects.create(job_id=attempt.job_id, attempt=attempt, name=name, key=key, **fields)
    return made, True


def artifact_key(attempt: JobAttempt, name: str, sha256: str) -> str:
    """Where an artifact of this name and content lies. Raises ArtifactRefused for a name of no known kind."""
    ending = _ending(name)
    named = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{artifact_prefix(attempt)}{named}-{sha256[:16]}{ending}"


def _ending(name: str) -> str:
    ending = PurePosixPath(name).suffix.lower()
    if ending not in TYPES:
        raise ArtifactRefused(f"An artifact's name ends in {', '.join(TYPES)}.")
    return ending
