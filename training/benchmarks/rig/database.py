"""Fresh databases: a file in the temporary folder, or one made in a PostgreSQL server and dropped at the end."""

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from training.benchmarks.rig import BenchmarkError

POINTS = """SELECT coalesce(sum(length("values") / 8), 0) FROM training_journalrecord WHERE kind = 1"""


class Database:
    """A database by its address; read past Django, as a witness of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.vendor = "sqlite" if url.startswith("sqlite") else "postgresql"

    def value(self, query: str) -> Any:
        """The first column of the first row."""
        if self.vendor == "sqlite":
            with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"), timeout=30)) as connection:
                return connection.execute(query).fetchone()[0]
        with psycopg.connect(self.url, connect_timeout=10) as connection:
            row = connection.execute(query.encode()).fetchone()
            return row[0] if row else None

    def points(self) -> int:
        """How many metric points the journal holds."""
        return int(self.value(POINTS))


@contextmanager
def fresh_database(url: str, folder: Path) -> Iterator[Database]:
    """A new database: `sqlite`, or one made in the PostgreSQL server of `url`; gone at the end.

    Raises BenchmarkError where the server does not keep what it commits (fsync
    or synchronous_commit off), for figures from it would mean nothing.
    """
    if url == "sqlite":
        yield Database(f"sqlite:///{folder / 'platform.sqlite3'}")
        return
    if urlsplit(url).scheme not in ("postgres", "postgresql"):
        raise BenchmarkError("a database is the word sqlite or postgres://…")
    name = f"benchmark_{secrets.token_hex(6)}"
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as server:
        for setting in ("fsync", "synchronous_commit"):
            row = server.execute("SELECT current_setting(%s)", [setting]).fetchone()
            if row != ("on",):
                raise BenchmarkError(f"{setting} is not on in this PostgreSQL server: commits would not be durable")
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield Database(urlsplit(url)._replace(path=f"/{name}").geturl())
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
