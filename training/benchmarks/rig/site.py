"""Our real server on a fresh database, with running jobs to report to."""

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platform_site.processes import environment, python
from training.benchmarks.rig import BenchmarkError
from training.benchmarks.rig.database import Database, fresh_database
from training.benchmarks.rig.processes import Server, free_port, program, server

WEB_SECONDS = 60.0


@dataclass
class Site:
    """The server, its database, its settings, and who may talk to it."""

    server: Server
    database: Database
    variables: Mapping[str, str]
    clients: list[dict[str, Any]]
    cookie: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"


def site_without_server(folder: Path, seconds: float) -> dict[str, str]:
    """A platform for commands alone, in `folder`: the variables of its programs. `seconds` are for its migrations."""
    folder.mkdir()
    variables = environment(
        DATA_DIR=str(folder / "data"),
        DATABASE_URL=f"sqlite:///{folder / 'platform.sqlite3'}",
        DJANGO_SETTINGS_MODULE="platform_site.settings",
        INTERNAL_STORAGE_URL=f"file://{folder / 'internal'}",
        EXTERNAL_STORAGE_URL=f"file://{folder / 'external'}",
    )
    program(python("manage.py", "migrate", "--verbosity", "0"), variables, seconds=seconds)
    return variables


@contextmanager
def site(database: str, folder: Path, jobs: int, **more: str) -> Iterator[Site]:
    """Serve the platform as in production, with `jobs` running jobs and `more` variables; all is gone at the end."""
    folder.mkdir(parents=True)
    with fresh_database(database, folder) as fresh:
        port = free_port()
        variables = environment(
            DATA_DIR=str(folder / "data"),
            DATABASE_URL=fresh.url,
            STATIC_ROOT=str(folder / "static"),
            REDIS_URL="",
            CELERY_BROKER_URL="",
            DJANGO_DEBUG="false",
            DJANGO_SECRET_KEY=secrets.token_urlsafe(48),
            DJANGO_ALLOWED_HOSTS="127.0.0.1",
            SITE_URL=f"http://127.0.0.1:{port}",
            **more,
        )
        program(python("manage.py", "migrate", "--verbosity", "0"), variables)
        program(python("manage.py", "collectstatic", "--no-input", "--verbosity", "0"), variables)
        cast = json.loads(program(python("-m", "training.benchmarks.rig.cast", str(jobs)), variables))
        command = python("manage.py", "serve", "--port", str(port))
        with server("web", command, variables, folder, port, "/healthz", WEB_SECONDS) as running:
            yield Site(running, fresh, variables, cast["clients"], cast["cookie"])


def stored_check(name: str, stored: int, acknowledged: int) -> None:
    """Raise BenchmarkError unless the database holds exactly the points that were acknowledged."""
    if stored != acknowledged:
        raise BenchmarkError(f"{name}: {acknowledged} points were acknowledged, but {stored} are stored")
