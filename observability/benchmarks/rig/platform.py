"""A platform without its server: a fresh database, and the variables under which its programs run."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from platform_site.processes import environment, python
from training.benchmarks.rig.database import Database, fresh_database
from training.benchmarks.rig.processes import program


@dataclass(frozen=True)
class Platform:
    database: Database
    variables: Mapping[str, str]


@contextmanager
def platform(database: str, folder: Path, **variables: str) -> Iterator[Platform]:
    """A migrated database, and an environment with these variables more; gone at the end."""
    folder.mkdir(parents=True)
    with fresh_database(database, folder) as fresh:
        made = environment(
            DATA_DIR=str(folder / "data"),
            DATABASE_URL=fresh.url,
            REDIS_URL="",
            CELERY_BROKER_URL="",
            DJANGO_DEBUG="false",
            DJANGO_SECRET_KEY=secrets.token_urlsafe(48),
            DJANGO_ALLOWED_HOSTS="127.0.0.1",
            SITE_URL="http://127.0.0.1:8000",
            **variables,
        )
        program(python("manage.py", "migrate", "--verbosity", "0"), made)
        yield Platform(fresh, made)
