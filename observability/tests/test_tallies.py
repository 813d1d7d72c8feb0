"""What is counted: in this process, in several at once, by a real server and a real delivery worker."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError

from observability import ledger
from observability import tallies as module
from observability.models import Delivery, Tally
from observability.tallies import Tallies
from observability.tests.backends.processes import ended, free_port
from observability.tests.conftest import Configure
from observability.tests.faulty import write
from observability.tests.test_faults import wait_until
from observability.tests.test_metrics_page import ask, samples
from observability.tests.test_workers import Workers, database_url, workers  # noqa: F401
from observability.traffic import kind_of
from training.models import TrainingJob
from training.tests.journal_entries import metrics, tell

Told = Callable[..., TrainingJob]
COUNTING = """
import django; django.setup()
from observability.tallies import tallies
for number in range(300):
    tallies.add("platform_requests", "page", "200")
    tallies.observe("platform_callback_seconds", seconds=0.004 if number % 3 else 7.0)
    if number % 10 == 0:
        tallies.flush()
tallies.flush()
"""


@pytest.fixture(autouse=True)
def from_here(settings: Any) -> None:
    settings.METRICS_TOKEN = ""


def variables() -> dict[str, str]:
    found = {**os.environ, "DJANGO_SETTINGS_MODULE": "platform_site.settings", "METRICS_TOKEN": ""}
    return found | {"DATA_DIR": str(settings.DATA_DIR), "DATABASE_URL": database_url()}


@pytest.mark.django_db(transaction=True)
def test_several_processes_count_together_and_lose_nothing() -> None:
    command = [sys.executable, "-c", COUNTING]
    running = [subprocess.Popen(command, env=variables(), cwd=settings.BASE_DIR) for _ in range(2)]
    assert [process.wait(120) for process in running] == [0, 0]
    found = samples(ask())
    assert found["platform_requests_total", "page", "200"] == 600
    name = "platform_callback_seconds_bucket"
    assert (found[name, "0.0025"], found[name, "0.005"], found[name, "5.0"]) == (0, 400, 400)
    assert (found[name, "10.0"], found[name, "+Inf"], found["platform_callback_seconds_count",]) == (600, 600, 600)
    assert found["platform_callback_seconds_sum",] == pytest.approx(400 * 0.004 + 200 * 7)


@pytest.mark.django_db
def test_a_database_that_is_away_delays_the_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(counts: Any) -> None:
        raise OperationalError("away")

    tallies, there = Tallies(), module.store
    tallies.add("platform_requests", "page", "200")
    monkeypatch.setattr(module, "store", away)
    tallies.flush()
    tallies.add("platform_requests", "page", "200")
    monkeypatch.setattr(module, "store", there)
    tallies.flush()
    tallies.flush()
    assert list(Tally.objects.values_list("name", "value")) == [("platform_requests", 2)]


def test_addresses_are_counted_by_few_kinds() -> None:
    paths = ("/", "/jobs/7/", "/api/v1/jobs", "/api/v1/training/jobs/7/callback/progress", "/static/a.css", "/metrics")
    assert [kind_of(path) for path in paths] == ["page", "page", "api", "callback", "static", "probe"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A real server on the tests' database."""
    port = free_port()
    command = [sys.executable, "manage.py", "serve", "--port", str(port)]
    process = subprocess.Popen(command, env=variables(), cwd=settings.BASE_DIR, start_new_session=True)
    with ended(process):
        wait_until(lambda: process.poll() is not None or asked(f"http://127.0.0.1:{port}/healthz") == 200, 60)
        yield f"http://127.0.0.1:{port}"


def asked(address: str, body: bytes | None = None) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, body), timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


@pytest.mark.django_db(transaction=True)
def test_a_server_and_a_delivery_worker_are_both_counted(
    site: str,
    tmp_path: Path,
    told_job: Told,
    configure: Configure,
    workers: Workers,  # noqa: F811
) -> None:
    trouble = "if call == 'log_metrics' and not self.tried:\n            self.tried = True; raise RuntimeError('no')"
    configure("slow", places=(write(tmp_path, "slow", trouble, "tried = False"),))
    job = told_job("slow")
    tell(job, *[metrics(step, a=1.0, b=2.0) for step in range(4)])
    ledger.deliveries_open()
    workers.start("one")
    for _ in range(3):
        assert asked(f"{site}/api/v1/training/jobs/{job.pk}/callback/progress", b"{}") == 401
    wait_until(lambda: Delivery.objects.filter(backend="slow", points=8).exists(), 60)
    wanted = {("platform_delivery_sent_points_total", "slow"): 8, ("platform_requests_total", "callback", "401"): 3}
    wait_until(lambda: wanted.items() <= samples(ask()).items(), 60)
    found = samples(ask())
    assert found["platform_delivery_failed_points_total", "slow"] == 8
    assert found["platform_delivery_calls_total", "slow", "log_metrics", "failed"] == 1
    assert found["platform_delivery_call_seconds_count", "slow"] >= 4
    assert found["platform_callback_seconds_bucket", "+Inf"] == 3
