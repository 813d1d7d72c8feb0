"""The ledger on the job page: who sees it, what it says, what its buttons do."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from observability import ledger
from observability.models import Breaker, Delivery
from observability.selectors import ledger_rows
from observability.tests.conftest import Configure
from observability.tests.faulty import write
from training.models import AuditEntry, TrainingJob
from training.tests.journal_entries import metrics, tell

Told = Callable[..., TrainingJob]
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    woken: list[str] = []
    monkeypatch.setattr("observability.requests.wake", lambda: woken.append("woken"))
    monkeypatch.setattr("observability.admin.wake", lambda: woken.append("woken"))
    return woken


@pytest.fixture(autouse=True)
def backends(tmp_path: Path, configure: Configure) -> None:
    configure("plain", "other", places=(write(tmp_path, "plain"), write(tmp_path, "other")))


def signed_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def panel(user: Any, job: TrainingJob) -> str:
    answer = signed_in(user).get(f"/jobs/{job.pk}/deliveries/", headers={"HX-Request": "true"})
    assert answer.status_code == 200 and answer["Cache-Control"] == "no-store"
    return answer.content.decode()


def test_the_job_page_loads_the_ledger_by_its_address(cast: SimpleNamespace, told_job: Told) -> None:
    job = told_job("plain")
    page = signed_in(cast.owner).get(f"/jobs/{job.pk}/").content.decode()
    assert f'hx-get="/jobs/{job.pk}/deliveries/" hx-trigger="load"' in page


def test_it_tells_how_far_each_backend_is_and_why_it_waits(cast: SimpleNamespace, told_job: Told) -> None:
    job = told_job("plain")
    tell(job, metrics(1, loss=1.0), metrics(2, loss=1.0))
    ledger.deliveries_open()
    Delivery.objects.filter(backend="plain").update(
        state="waiting", seq=1, points=1234, last_error="<b>503</b>", experiment_id="run-7", url="http://t.example/7"
    )
    said = panel(cast.owner, job)
    assert "1,234 points" in said and "1 record pending" in said and "&lt;b&gt;503&lt;/b&gt;" in said
    assert '<a href="http://t.example/7" rel="noreferrer">run-7</a>' in said and "Waiting to try again" in said
    assert "Not chosen for this job." in said and "every 3s" in said


def test_an_address_that_is_a_script_is_no_link(cast: SimpleNamespace, told_job: Told) -> None:
    job = told_job("plain")
    ledger.deliveries_open()
    Delivery.objects.filter(backend="plain").update(experiment_id="run-7", url="javascript:alert(1)")
    said = panel(cast.owner, job)
    assert "run-7" in said and "javascript:" not in said


def test_strangers_find_nothing_and_visitors_sign_in(cast: SimpleNamespace, told_job: Told) -> None:
    job = told_job("plain")
    ledger.deliveries_open()
    for path in ("", "plain/retry/", "other/backfill/"):
        send = signed_in(cast.stranger).post if path else signed_in(cast.stranger).get
        assert send(f"/jobs/{job.pk}/deliveries/{path}").status_code == 404
    assert Client().get(f"/jobs/{job.pk}/deliveries/", headers={"HX-Request": "true"}).status_code == 401
    assert not Delivery.objects.filter(backend="other").exists()


def test_a_guest_sees_the_ledger_and_may_not_change_it(cast: SimpleNamespace, told_job: Told) -> None:
    job = told_job("plain")
    ledger.deliveries_open()
    assert "<button" not in panel(cast.teammate, job)
    assert signed_in(cast.teammate).post(f"/jobs/{job.pk}/deliveries/plain/retry/").status_code == 403
    assert signed_in(cast.teammate).post(f"/jobs/{job.pk}/deliveries/other/backfill/").status_code == 403


def test_a_post_without_a_csrf_token_is_refused(cast: SimpleNamespace, told_job: Told) -> None:
    job = told_job("plain")
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.owner)
    assert client.post(f"/jobs/{job.pk}/deliveries/plain/retry/").status_code == 403


def test_retry_now_wakes_the_delivery_and_closes_the_breaker(
    cast: SimpleNamespace, told_job: Told, no_broker: list[str]
) -> None:
    job = told_job("plain")
    ledger.deliveries_open()
    Delivery.objects.filter(backend="plain").update(state="paused", last_error="no quota")
    Breaker.objects.create(backend="plain", failures=9)
    address = f"/jobs/{job.pk}/deliveries/plain/retry/"
    answer = signed_in(cast.owner).post(address, headers={"HX-Request": "true"})
    assert answer.status_code == 200 and 'id="deliveries"' in answer.content.decode() and no_broker == ["woken"]
    assert Delivery.objects.get(backend="plain").state == "active" and Breaker.objects.get().failures == 0
    entry = AuditEntry.objects.get(action="delivery.retry")
    assert (entry.who, entry.object_id, entry.new) == ("owner", str(job.pk), {"backend": "plain"})
    assert entry.old == {"state": "paused", "last_error": "no quota"}


def test_backfill_opens_a_delivery_for_a_backend_that_was_not_chosen(cast: SimpleNamespace, told_job: Told) -> None:
    job = told_job("plain")
    ledger.deliveries_open()
    answer = signed_in(cast.owner).post(f"/jobs/{job.pk}/deliveries/other/backfill/")
    assert answer.status_code == 302 and Delivery.objects.filter(job=job, backend="other").exists()
    assert AuditEntry.objects.get(action="delivery.backfill").new == {"backend": "other"}
    assert signed_in(cast.owner).post(f"/jobs/{job.pk}/deliveries/unknown/backfill/").status_code == 404


def test_the_admin_lists_deliveries_and_tries_them_again(cast: SimpleNamespace, told_job: Told) -> None:
    ledger_row = told_job("plain")
    ledger.deliveries_open()
    Delivery.objects.filter(backend="plain").update(state="paused")
    cast.owner.is_staff = cast.owner.is_superuser = True
    cast.owner.save()
    client = signed_in(cast.owner)
    assert client.get("/admin/observability/delivery/").status_code == 200
    keys = list(Delivery.objects.filter(job=ledger_row).values_list("pk", flat=True))
    for action in ("retry", "backfill"):
        data = {"action": action, "_selected_action": keys, "confirmed": "yes"}
        assert client.post("/admin/observability/delivery/", data).status_code == 302
    assert Delivery.objects.get(backend="plain").state == "active" and Delivery.objects.filter(backend="other").exists()


def test_a_backend_that_is_told_of_an_old_job_is_not_years_behind(cast: SimpleNamespace, told_job: Told) -> None:
    job = told_job("plain")
    tell(job, metrics(1, time=1_000_000_000.0, loss=1.0))
    ledger.deliveries_open()
    lags = [row.lag for row in ledger_rows(job) if row.delivery]
    assert len(lags) == 2 and all(lag is not None and lag < 3600 for lag in lags)


def test_it_tells_how_often_a_call_failed_and_when_it_is_tried_again(cast: SimpleNamespace, told_job: Told) -> None:
    job = told_job("plain")
    tell(job, metrics(1, loss=1.0))
    ledger.deliveries_open()
    soon = timezone.now() + timedelta(minutes=90)
    Delivery.objects.filter(backend="plain").update(state="waiting", error_count=4, next_try_at=soon)
    assert "Failed 4 times; next try in 1 h" in panel(cast.owner, job)
    Delivery.objects.filter(backend="plain").update(error_count=1, next_try_at=timezone.now() - timedelta(seconds=9))
    assert "Failed 1 time; tried again now." in panel(cast.owner, job)


def test_it_tells_what_a_backend_does_not_take(cast: SimpleNamespace, told_job: Told) -> None:
    job = told_job("plain")
    ledger.deliveries_open()
    Delivery.objects.filter(backend="plain").update(adapter_state={"refused": 41})
    assert panel(cast.owner, job).count("It does not take 41 points or lines of this job") == 1
