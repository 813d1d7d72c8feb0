"""The stores' files that the database names: checkpoints, snapshots' lists, and the files of datasets."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.db.backends.base.base import BaseDatabaseWrapper

from platform_site.backup import BackupError
from training.storage.store import ObjectMissing, Store, key_validate, store_named

FOLDER = "files"


@dataclass(frozen=True, slots=True)
class Named:
    """A file that the database names; `sha256` where it knows that, too."""

    store: str
    key: str
    sha256: str = ""


def files_named(connection: BaseDatabaseWrapper) -> Iterator[Named]:
    """Read from the very moment that was copied, with columns that every version has."""
    for key, sha256 in _rows(connection, "SELECT key, sha256 FROM training_checkpoint ORDER BY id"):
        yield Named("internal", key, sha256)
    for (key,) in _rows(connection, "SELECT DISTINCT manifest_key FROM training_datasetsnapshot ORDER BY 1"):
        yield Named("internal", key)
    for (prefix,) in _rows(connection, "SELECT DISTINCT prefix FROM training_dataset ORDER BY 1"):
        yield from (Named("external", stored.key) for stored in store_named("external").list(prefix))


def _rows(connection: BaseDatabaseWrapper, query: str) -> list[tuple[str, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def file_save(named: Named, folder: Path) -> dict[str, object] | str:
    """Copy one file into the backup; its entry, or a sentence on why that can't be."""
    store, target = store_named(named.store), file_place(folder, named.store, named.key)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        size, sha256 = _written(store, named.key, target)
    except ObjectMissing:
        return f"{named.store}:{named.key} is named by the database, but is not in the store"
    if named.sha256 and sha256 != named.sha256:
        return f"{named.store}:{named.key} is not what the database says: its SHA-256 differs"
    return {"store": named.store, "key": named.key, "size": size, "sha256": sha256}


def _written(store: Store, key: str, target: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with target.open("wb") as file:
        for chunk in store.read(key):
            digest.update(chunk)
            size += file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return size, digest.hexdigest()


def file_place(folder: Path, store: str, key: str) -> Path:
    """Where a file lies in a backup. Raises InvalidKey for a key that would lead out of it."""
    return folder / FOLDER / store / key_validate(key)


def file_check(folder: Path, entry: dict[str, str]) -> None:
    """Raise BackupError unless the file in the backup is what its manifest says."""
    place = file_place(folder, entry["store"], entry["key"])
    try:
        with place.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BackupError(f"{place}: {error.strerror}.") from error
    if found != entry["sha256"]:
        raise BackupError(f"{place} is damaged: its SHA-256 is not that of the manifest.")


def files_restore(folder: Path, entries: list[dict[str, str]], advance: Callable[[str], None]) -> None:
    """Store every file again, and read it back."""
    for entry in entries:
        advance(entry["key"])
        store_named(entry["store"]).put(entry["key"], file_place(folder, entry["store"], entry["key"]), durable=False)
    for name in ("internal", "external"):
        store_named(name).settle()
    for entry in entries:
        if _read_back(entry) != entry["sha256"]:
            raise BackupError(f"{entry['store']}:{entry['key']} was restored, but reads back differently.")


def _read_back(entry: dict[str, str]) -> str:
    digest = hashlib.sha256()
    for chunk in store_named(entry["store"]).read(entry["key"]):
        digest.update(chunk)
    return digest.hexdigest()
