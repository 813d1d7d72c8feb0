"""`/metrics`: who may read it, and what it says."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import RequestFactory
from prometheus_client.parser import text_string_to_metric_families

from observability.metrics_page import metrics
from observability.models import Breaker, Delivery, DeliveryState
from training.tests.conftest import job_make
from training.tests.journal_entries import metrics as report
from training.tests.journal_entries import tell


def samples(answer: Any) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(answer.content.decode())
    return {
        (one.name, *(one.labels[key] for key in sorted(one.labels))): one.value
        for family in families
        for one in family.samples
    }


def ask(**headers: str) -> Any:
    return metrics(RequestFactory().get("/metrics", **headers))


@pytest.mark.django_db
def test_it_is_readable_from_this_machine_only_without_a_token(settings: Any) -> None:
    settings.METRICS_TOKEN = ""
    assert ask().status_code == 200
    assert ask(REMOTE_ADDR="::1").status_code == 200
    assert ask(REMOTE_ADDR="10.0.0.5").status_code == 403
    assert ask(REMOTE_ADDR="").status_code == 403
    assert ask(HTTP_X_FORWARDED_FOR="10.0.0.5").status_code == 403


@pytest.mark.django_db
def test_it_asks_for_the_token(settings: Any) -> None:
    settings.METRICS_TOKEN = "a-token"
    assert ask(HTTP_AUTHORIZATION="Bearer a-token", REMOTE_ADDR="10.0.0.5").status_code == 200
    for wrong in ("", "Bearer", "Bearer a-tokem", "Basic a-token", "Bearer ä"):
        assert ask(HTTP_AUTHORIZATION=wrong).status_code == 401


@pytest.mark.django_db(transaction=True)
def test_it_tells_of_jobs_deliveries_and_breakers(settings: Any, cast: SimpleNamespace) -> None:
    settings.METRICS_TOKEN, settings.METRICS_NAMES = "", ["val/mAP50(B)"]
    job = job_make(cast, "running", attempt=1, name='A "quoted"\njob')
    job_make(cast, "completed")
    tell(job, report(step=10, epoch=1, train__loss=0.5), report(step=20, epoch=2, **{"val/mAP50(B)": float("inf")}))
    Delivery.objects.create(job=job, backend="mlflow", seq=1, points=7)
    Delivery.objects.create(job=job, backend="wandb", seq=0, state=DeliveryState.FINISHED)
    Breaker.objects.create(backend="mlflow", opened_until=Now())
    number, found = str(job.pk), samples(ask())
    assert (found["platform_jobs", "running"], found["platform_jobs", "completed"], found["platform_jobs", "lost"]) == (
        1,
        1,
        0,
    )
    assert found["platform_job", number, 'A "quoted"\njob', "Bottles", "running", "ultralytics"] == 1
    assert (found["platform_job_epoch", number], found["platform_job_step", number]) == (2, 20)
    assert found["platform_job_metric", number, "val/mAP50(B)"] == float("inf")
    assert found["platform_job_records_total", number] == 2
    assert (found["platform_delivery_lag_records", "mlflow"], found["platform_delivery_lag_records", "wandb"]) == (1, 0)
    assert found["platform_delivered_points_total", "mlflow"] == 7
    assert found["platform_deliveries", "wandb", "finished"] == 1
    assert found["platform_backend_left_alone", "mlflow"] == 0
    assert not [name for name in found if "train/loss" in name]
