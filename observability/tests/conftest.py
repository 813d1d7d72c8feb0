"""The cast of `training`'s tests, and adapters of the tests' own, each in a file that was dropped into a folder."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from observability import registry
from observability.lanes import Lane
from training.models import TrainingJob
from training.tests.conftest import (  # noqa: F401
    attempt,
    cast,
    job,
    job_make,
    names_forgotten,
    program,
    stores_in_a_temporary_folder,
    worker,
)

Configure = Callable[..., None]


@pytest.fixture(autouse=True)
def adapters_read_anew(settings: Any) -> Iterator[None]:
    settings.DELIVERY_RETRY_SECONDS = 0.4
    registry.forget()
    yield
    registry.forget()


@pytest.fixture
def configure(settings: Any) -> Configure:
    """Configure these backends, and the folders and files in which to find them."""

    def inner(*backends: str, places: tuple[Path, ...] = ()) -> None:
        settings.OBSERVABILITY_BACKENDS = ["database", *backends]
        settings.OBSERVABILITY_ADAPTERS = list(places)
        registry.forget()

    return inner


@pytest.fixture
def lane() -> Iterator[Callable[[str], Lane]]:
    """Lanes by name, without their threads; their processes end with the test."""
    made: dict[str, Lane] = {}

    def inner(name: str) -> Lane:
        made[name] = made.get(name) or Lane(registry.configured()[name])
        return made[name]

    yield inner
    for one in made.values():
        one.close()


@pytest.fixture
def told_job(cast: SimpleNamespace) -> Callable[..., TrainingJob]:  # noqa: F811
    """A running job that is told to all of these backends."""

    def inner(*backends: str, **fields: Any) -> TrainingJob:
        return job_make(cast, **{"state": "running", "attempt": 1, "observability_backends": list(backends)} | fields)

    return inner
