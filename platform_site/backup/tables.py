"""Tables of either database, as rows in one order: counted and hashed the same way before and after."""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from platform_site.backup import LEFT_OUT

BLOCK = 1000


@dataclass(frozen=True, slots=True)
class TableSum:
    """What a table holds: how many rows, and the SHA-256 over them in the order of their keys."""

    rows: int
    sha256: str

    def told(self) -> dict[str, Any]:
        return asdict(self)


def table_names(connection: BaseDatabaseWrapper) -> list[str]:
    with connection.cursor() as cursor:
        return sorted(set(connection.introspection.table_names(cursor)) - set(LEFT_OUT))


def columns_of(connection: BaseDatabaseWrapper, table: str) -> list[str]:
    """By name, because an upgraded database may have them in another order than a new one."""
    with connection.cursor() as cursor:
        return sorted(column.name for column in connection.introspection.get_table_description(cursor, table))


def key_of(connection: BaseDatabaseWrapper, table: str, columns: list[str]) -> list[str]:
    """The primary key's columns; all columns where there is none."""
    with connection.cursor() as cursor:
        found = connection.introspection.get_primary_key_columns(cursor, table)
    return list(found or columns)


def quoted(connection: BaseDatabaseWrapper, names: list[str]) -> str:
    return ", ".join(connection.ops.quote_name(name) for name in names)


def select_of(connection: BaseDatabaseWrapper, table: str) -> str:
    """The query that reads a table in its one order."""
    columns = columns_of(connection, table)
    order = quoted(connection, key_of(connection, table, columns))
    return f"SELECT {quoted(connection, columns)} FROM {connection.ops.quote_name(table)} ORDER BY {order}"


class Sum:
    """Counts and hashes rows as they pass."""

    def __init__(self) -> None:
        self.rows = 0
        self._hash = hashlib.sha256()

    def add(self, data: bytes, rows: int) -> None:
        self.rows += rows
        self._hash.update(data)

    def done(self) -> TableSum:
        return TableSum(self.rows, self._hash.hexdigest())
