"""A real MLflow server that is killed in the middle of a run, and comes back."""

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from observability import ledger
from observability.adapters.mlflow import Mlflow
from observability.lanes import Lanes
from observability.models import Breaker, Delivery, DeliveryState
from observability.tests.backends import mlflow
from observability.tests.conftest import Configure
from observability.tests.faulty import end
from observability.tests.test_faults import wait_until
from training.models import TrainingJob
from training.tests.journal_entries import TIME, metrics, tell

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(240)]
PATIENCE = 90.0  # seconds, at most: what is waited for takes one or two


@pytest.fixture
def lanes() -> Iterator[Lanes]:
    made = Lanes()
    yield made
    made.stop()


def test_a_server_that_was_killed_in_the_middle_gets_everything_in_order_and_once(
    tmp_path: Path,
    told_job: Callable[..., TrainingJob],
    configure: Configure,
    lanes: Lanes,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
) -> None:
    server = mlflow.Server(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    monkeypatch.setattr(Mlflow, "batch_points", 20)  # many calls, so that the kill falls among them
    settings.DELIVERY_CALL_SECONDS = 5  # it may hear and not answer while it starts
    configure("mlflow")
    job = told_job("mlflow")
    numbers = itertools.count(1)
    mine, others = (Delivery.objects.filter(job=job, backend=name) for name in ("mlflow", "database"))

    def say(count: int) -> None:
        told = itertools.islice(numbers, count)
        tell(job, *[metrics(n, n // 10, TIME + n / 8, train__loss=1 / n, lr=n / 7) for n in told])

    silent = threading.Event()

    def talk() -> None:
        while not silent.wait(0.1):
            say(5)
        connection.close()

    with server.running():
        say(100)
        ledger.deliveries_open()
        lanes.wake()
        wait_until(lambda: mine.get().state == DeliveryState.CAUGHT_UP, PATIENCE)
        speaker = threading.Thread(target=talk)
        speaker.start()
        wait_until(lambda: mine.get().seq > 120, PATIENCE)
    # the server is gone, and the run talks on
    wait_until(lambda: Breaker.objects.filter(opened_until__isnull=False).exists(), PATIENCE)
    silent.set()
    speaker.join()
    say(100)
    reached = next(numbers) - 1
    lanes.wake()
    wait_until(lambda: others.get().seq == reached, PATIENCE)
    assert mine.get().seq < reached and (mine.get().state, mine.get().error_count > 4) == (DeliveryState.WAITING, True)
    browser = Client()
    browser.force_login(job.created_by)
    page = browser.get(f"/jobs/{job.pk}/deliveries/").content.decode()
    assert "Waiting to try again" in page and "This backend fails for every job" in page and "pending" in page
    end(job)
    with server.running():
        wait_until(lambda: mine.get().state == DeliveryState.FINISHED, PATIENCE)
        there = mlflow.read(mine.get().experiment_id, {"MLFLOW_TRACKING_URI": server.address})
    for name, value in (("train/loss", lambda n: 1 / n), ("lr", lambda n: n / 7)):
        assert there[name] == [(n, TIME + n / 8, value(n)) for n in range(1, reached + 1)]
    assert len(mlflow.rows(tmp_path / "mlflow.sqlite3", mine.get().experiment_id)) == 2 * reached
    assert (mine.get().points, mine.get().last_error) == (2 * reached, "")
