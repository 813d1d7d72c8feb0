"""A backup is restored: checked first, loaded, and compared with its manifest table by table and file by file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

from platform_site.backup import FORMAT, MANIFEST, BackupError, postgresql, sqlite
from platform_site.backup.files import file_check, files_restore
from platform_site.backup.tables import quoted

Advance = Callable[[str], None]
TELLING = ("training_user", "training_organization", "training_trainingjob", "training_dataset")


def manifest_read(folder: Path) -> dict[str, Any]:
    """The manifest of a whole backup for this kind of database. Raises BackupError for anything else."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise BackupError(f"{folder} is no whole backup: {MANIFEST} can't be read ({error}).") from error
    if manifest.get("format") != FORMAT:
        raise BackupError(f"{folder} was written in format {manifest.get('format')}; this version reads {FORMAT}.")
    if manifest["database"] != connection.vendor:
        raise BackupError(f"This is a backup of {manifest['database']}; the database here is {connection.vendor}.")
    return manifest


def backup_restore(folder: Path, manifest: dict[str, Any], force: bool, advance: Advance) -> None:
    """Put a backup in the place of this platform's database and files.

    Raises BackupError, before anything is changed, if the backup is damaged,
    or if there is something here and `force` is not set; and where what was restored
    differs from the manifest. PostgreSQL is then as it was before.
    """
    for entry in manifest["files"]:
        advance(entry["key"])
        file_check(folder, entry)
    if not force and (there := what_is_there()):
        raise BackupError(f"The database is not empty ({there}). --force replaces all that it holds.")
    _unknown_refuse(manifest)
    load = _sqlite_load if connection.vendor == "sqlite" else _postgresql_load
    load(folder, manifest, advance)
    files_restore(folder, manifest["files"], advance)
    call_command("migrate", verbosity=0)


def what_is_there() -> str:
    """What would be lost, in words; empty for a new database."""
    with connection.cursor() as cursor:
        there = set(connection.introspection.table_names(cursor))
        found = []
        for table in (name for name in TELLING if name in there):
            cursor.execute(f"SELECT count(*) FROM {quoted(connection, [table])}")
            if number := cursor.fetchone()[0]:
                found.append(f"{number} in {table}")
    return ", ".join(found)


def _unknown_refuse(manifest: dict[str, Any]) -> None:
    known = MigrationExecutor(connection).loader.disk_migrations
    unknown = [".".join(one) for one in manifest["migrations"] if tuple(one) not in known]
    if unknown:
        raise BackupError(f"The backup is of a newer version, which has {', '.join(unknown[:3])}: install that first.")


def _sqlite_load(folder: Path, manifest: dict[str, Any], advance: Advance) -> None:
    tables = list(manifest["tables"])
    with sqlite.opened(folder) as copied:  # it is checked before it takes the place of anything
        _compare(manifest, {table: sqlite.table_sum(copied, table) for table in tables})
    sqlite.load(connection, folder, tables, advance)
    _compare(manifest, {table: sqlite.table_sum(connection, table) for table in tables})


def _postgresql_load(folder: Path, manifest: dict[str, Any], advance: Advance) -> None:
    """In one transaction: the tables as they were at the backup, their rows, and the comparison."""
    tables = list(manifest["tables"])
    with transaction.atomic():
        if not MigrationRecorder(connection).has_table():
            _tables_make(manifest)
        elif sorted(map(list, MigrationRecorder(connection).applied_migrations())) != manifest["migrations"]:
            with connection.cursor() as cursor:  # another version's tables: they go with what they hold
                cursor.execute(f"DROP TABLE {quoted(connection, connection.introspection.table_names(cursor))} CASCADE")
            _tables_make(manifest)
        postgresql.load(connection, folder, tables, advance)
        _compare(manifest, {table: postgresql.table_sum(connection, table) for table in tables})


def _tables_make(manifest: dict[str, Any]) -> None:
    """The last migrations of each app bring the others with them."""
    executor = MigrationExecutor(connection)
    graph = executor.loader.graph
    wanted = {(app, name) for app, name in manifest["migrations"]} & set(graph.nodes)
    followed = {parent.key for key in wanted for parent in graph.node_map[key].parents if parent.key[0] == key[0]}
    executor.migrate(sorted(wanted - followed))


def _compare(manifest: dict[str, Any], found: dict[str, Any]) -> None:
    for table, wanted in manifest["tables"].items():
        if found[table].told() != wanted:
            told = f"{found[table].rows} rows instead of {wanted['rows']}"
            raise BackupError(f"The table {table} is not what the manifest says: {told}, or others.")
