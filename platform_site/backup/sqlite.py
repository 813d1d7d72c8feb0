"""SQLite: copied by its own backup interface, which gives one moment of the database while others write."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from platform_site.backup import LEFT_OUT
from platform_site.backup.tables import BLOCK, Sum, TableSum, select_of, table_names

NAME = "database.sqlite3"


def dump(connection: BaseDatabaseWrapper, folder: Path, advance: Callable[[str], None]) -> dict[str, TableSum]:
    """Copy the database into the folder; what its tables hold."""
    connection.ensure_connection()
    advance("database")
    with closing(sqlite3.connect(folder / NAME)) as copy:
        connection.connection.backup(copy)
        for table in LEFT_OUT:
            copy.execute(f'DELETE FROM "{table}"')
        copy.commit()
        copy.execute("PRAGMA journal_mode=DELETE")
        copy.execute("VACUUM")  # or deleted rows would lie in free pages
    with opened(folder) as copied:
        return {table: table_sum(copied, table) for table in table_names(copied)}


@contextmanager
def opened(folder: Path) -> Iterator[BaseDatabaseWrapper]:
    """The copy as a database of Django's, for reading only."""
    from django.db.backends.sqlite3.base import DatabaseWrapper

    name = f"file:{folder / NAME}?mode=ro&immutable=1"
    options = {"NAME": name, "OPTIONS": {"uri": True}, "TIME_ZONE": None, "CONN_MAX_AGE": 0, "AUTOCOMMIT": True}
    defaults = {"ATOMIC_REQUESTS": False, "CONN_HEALTH_CHECKS": False, "USER": "", "PASSWORD": "", "HOST": ""}
    wrapper = DatabaseWrapper({**defaults, "PORT": "", "TEST": {}, **options})
    try:
        yield wrapper
    finally:
        wrapper.close()


def load(connection: BaseDatabaseWrapper, folder: Path, tables: list[str], advance: Callable[[str], None]) -> None:
    """Put the copy in the place of whatever the database holds."""
    connection.ensure_connection()
    advance("database")
    with closing(sqlite3.connect(f"file:{folder / NAME}?mode=ro", uri=True)) as copy:
        copy.backup(connection.connection)


def table_sum(connection: BaseDatabaseWrapper, table: str) -> TableSum:
    found = Sum()
    with connection.cursor() as cursor:
        cursor.execute(select_of(connection, table))
        raw: Any = cursor
        while rows := raw.fetchmany(BLOCK):
            found.add(repr(rows).encode(), len(rows))
    return found.done()
