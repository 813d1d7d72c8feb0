"""A database for one platform that a test starts as processes: what it leaves behind is gone with it."""

import os
import uuid
from urllib.parse import urlsplit

import psycopg


class OwnDatabase:
    """SQLite and no server; or, where DATABASE_URL names a PostgreSQL server, a new database of it, and Redis."""

    def __init__(self) -> None:
        self._server = os.environ.get("DATABASE_URL", "")
        self._name = f"test_own_{uuid.uuid4().hex[:12]}"
        self.variables: dict[str, str] = {}
        if self._server.startswith("postgres"):
            self._say(f"CREATE DATABASE {self._name}")
            url = urlsplit(self._server)._replace(path=f"/{self._name}").geturl()
            self.variables = {"DATABASE_URL": url, "REDIS_URL": os.environ["REDIS_URL"]}

    def drop(self) -> None:
        if self.variables:
            self._say(f"DROP DATABASE {self._name} WITH (FORCE)")

    def _say(self, sql: str) -> None:
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(sql.encode())
