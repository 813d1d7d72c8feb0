"""A backup is made: one moment of the database, then the files that it names, then the manifest that makes it whole."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder

from platform_site.backup import FORMAT, MANIFEST, BackupError, postgresql, sqlite
from platform_site.backup.files import file_save, files_named
from platform_site.backup.tables import TableSum

Advance = Callable[[str], None]


def backup_make(folder: Path, advance: Advance, count: Callable[[int], None]) -> dict[str, Any]:
    """Write a backup into a new or empty folder; its manifest. `missing` tells what could not be copied.

    `count` hears how many files there are, `advance` which one is next. Raises BackupError.
    """
    _folder_make(folder)
    with _moment(folder, advance) as (moment, tables):
        named = list(files_named(moment))
        migrations = sorted(MigrationRecorder(moment).applied_migrations())
    count(len(named))
    files: list[dict[str, object]] = []
    missing: list[str] = []
    for one in named:
        advance(one.key)
        saved = file_save(one, folder)
        if isinstance(saved, str):
            missing.append(saved)
        else:
            files.append(saved)
    manifest = {
        "format": FORMAT,
        "database": connection.vendor,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "migrations": [list(one) for one in migrations],
        "tables": {name: found.told() for name, found in tables.items()},
        "files": files,
        "missing": missing,
    }
    _manifest_write(folder, manifest)
    return manifest


@contextmanager
def _moment(folder: Path, advance: Advance) -> Iterator[tuple[BaseDatabaseWrapper, dict[str, TableSum]]]:
    """The database as it was copied, to read more from, and what its tables hold."""
    if connection.vendor == "sqlite":
        tables = sqlite.dump(connection, folder, advance)
        with sqlite.opened(folder) as copied:
            yield copied, tables
    else:
        with postgresql.one_moment(connection):
            yield connection, postgresql.dump(connection, folder, advance)


def _folder_make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise BackupError(f"{folder} is not empty: each backup has a folder of its own.")
    except OSError as error:
        raise BackupError(f"{folder}: {error.strerror}.") from error


def _manifest_write(folder: Path, manifest: dict[str, Any]) -> None:
    """Last of all, and at once: a folder without it is no backup."""
    part = folder / f"{MANIFEST}.part"
    with part.open("w") as file:
        json.dump(manifest, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    part.rename(folder / MANIFEST)
