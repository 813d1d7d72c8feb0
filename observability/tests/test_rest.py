"""The ledger over REST: told, tried again and backfilled."""

from types import SimpleNamespace
from typing import Any

import pytest

from observability.models import Delivery, DeliveryState
from training.models import TrainingJob
from training.tests.rest_program import JOBS, Program

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("observability.requests.wake", lambda: None)


@pytest.fixture
def paused(job: TrainingJob) -> Delivery:
    words = {"backend": "database", "state": DeliveryState.PAUSED, "last_error": "no such table", "error_count": 3}
    return Delivery.objects.create(job=job, **words)


def test_the_ledger_is_told(program: Program, paused: Delivery) -> None:
    (told,) = program.get(f"{JOBS}/{paused.job_id}/deliveries").json()["items"]
    assert (told["backend"], told["state"], told["failures"], told["last_error"]) == (
        "database",
        "paused",
        3,
        "no such table",
    )


def test_a_paused_delivery_is_tried_again(program: Program, paused: Delivery) -> None:
    response = program.post(f"{JOBS}/{paused.job_id}/deliveries/database/retry")
    paused.refresh_from_db()
    assert response.status_code == 200 and paused.state != DeliveryState.PAUSED


@pytest.mark.parametrize("verb", ["retry", "backfill"])
def test_a_backend_that_there_is_not_is_404(program: Program, paused: Delivery, verb: str) -> None:
    assert program.post(f"{JOBS}/{paused.job_id}/deliveries/magic/{verb}").status_code == 404


def test_a_backend_is_backfilled(program: Program, job: TrainingJob, cast: SimpleNamespace) -> None:
    response: Any = program.post(f"{JOBS}/{job.pk}/deliveries/database/backfill")
    assert response.status_code == 200 and Delivery.objects.filter(job=job, backend="database").exists()
