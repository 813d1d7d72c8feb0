"""PostgreSQL: every table by COPY in one repeatable-read transaction, so without any program of the server's."""

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from platform_site.backup import LEFT_OUT, BackupError
from platform_site.backup.tables import Sum, TableSum, columns_of, quoted, select_of, table_names

FOLDER = "tables"


@contextmanager
def one_moment(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """A transaction that sees the database as it is now, whatever others write meanwhile."""
    with transaction.atomic(using=connection.alias):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def dump(connection: BaseDatabaseWrapper, folder: Path, advance: Callable[[str], None]) -> dict[str, TableSum]:
    """Write every table into the folder; what they hold. Only within `one_moment`."""
    (folder / FOLDER).mkdir()
    found = {}
    for table in table_names(connection):
        advance(table)
        with gzip.open(folder / FOLDER / f"{table}.copy.gz", "wb", compresslevel=3) as file:
            found[table] = _copied(connection, table, file.write)
    return found


def table_sum(connection: BaseDatabaseWrapper, table: str) -> TableSum:
    return _copied(connection, table, lambda _: None)


def _copied(connection: BaseDatabaseWrapper, table: str, write: Callable[[bytes], Any]) -> TableSum:
    found = Sum()
    with connection.cursor() as cursor:
        raw: Any = cursor
        with raw.copy(f"COPY ({select_of(connection, table)}) TO STDOUT") as copy:
            for block in copy:
                data = bytes(block)
                write(data)
                found.add(data, data.count(b"\n"))  # a line feed within a value is written \n
    return found.done()


def load(connection: BaseDatabaseWrapper, folder: Path, tables: list[str], advance: Callable[[str], None]) -> None:
    """Put the backup's rows in the place of whatever the tables hold. Only in a transaction: keys are checked last."""
    there = set(table_names(connection))
    if missing := sorted(set(tables) - there):
        raise BackupError(f"This version has no table {', '.join(missing)}: restore with the version of the backup.")
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {quoted(connection, sorted({*there, *LEFT_OUT}))} CASCADE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")  # tables come by name, not by who refers to whom
    for table in tables:
        advance(table)
        _filled(connection, folder, table)
    _numbers_go_on(connection, tables)


def _filled(connection: BaseDatabaseWrapper, folder: Path, table: str) -> None:
    columns = quoted(connection, columns_of(connection, table))
    with gzip.open(folder / FOLDER / f"{table}.copy.gz", "rb") as file, connection.cursor() as cursor:
        raw: Any = cursor
        with raw.copy(f"COPY {connection.ops.quote_name(table)} ({columns}) FROM STDIN") as copy:
            while data := file.read(1 << 20):
                copy.write(data)


def _numbers_go_on(connection: BaseDatabaseWrapper, tables: list[str]) -> None:
    """New rows get numbers beyond those that were restored."""
    with connection.cursor() as cursor:
        for table in tables:
            for sequence in connection.introspection.get_sequences(cursor, table):
                column = connection.ops.quote_name(sequence["column"])
                name, into = connection.ops.quote_name(sequence["table"]), connection.ops.quote_name(sequence["name"])
                newest = f"SELECT max({column}) FROM {name}"
                cursor.execute(f"SELECT setval('{into}', coalesce(({newest}), 1), ({newest}) IS NOT NULL)")
