"""Real delivery workers: killed in the middle, and started again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.conf import settings
from django.db import connection

from observability import ledger
from observability.models import Delivery
from observability.tests.faulty import calls, points, write
from observability.tests.test_faults import wait_until
from training.models import TrainingJob
from training.tests.journal_entries import metrics, tell

Told = Callable[..., TrainingJob]
pytestmark = pytest.mark.django_db(transaction=True)


def database_url() -> str:
    """The address of the tests' own database."""
    at = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{at['NAME']}"
    return f"postgres://{at['USER']}:{at['PASSWORD']}@{at['HOST']}:{at['PORT']}/{at['NAME']}"


class Workers:
    """Delivery workers as `manage.py up` starts them."""

    def __init__(self, folder: Path) -> None:
        self.environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "platform_site.settings"}
        self.environment |= {
            "DATA_DIR": str(settings.DATA_DIR),
            "DATABASE_URL": database_url(),
            "CALLS_DIR": str(folder),
        }
        self.environment |= {"OBSERVABILITY_BACKENDS": "slow", "OBSERVABILITY_ADAPTERS": str(folder / "slow.py")}
        self.environment |= {"DELIVERY_LEASE_SECONDS": "2"}
        self.log = folder / "worker.log"
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, name: str) -> subprocess.Popen[bytes]:
        options = ["--pool", "threads", "--concurrency", "1", "--queues", "delivery", "--hostname", f"{name}@%h"]
        command = [sys.executable, "-m", "celery", "-A", "platform_site", "--quiet", "worker", *options]
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, env=self.environment, cwd=settings.BASE_DIR, stdout=log, stderr=log)
        self.running.append(process)
        return process


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    made = Workers(tmp_path)
    yield made
    for process in made.running:
        process.terminate()
    for process in made.running:
        process.wait(20)


def family(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def gone(processes: list[psutil.Process]) -> bool:
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes)


def test_what_a_killed_worker_left_is_sent_by_the_next_one(
    tmp_path: Path, told_job: Told, configure: Any, workers: Workers
) -> None:
    configure("slow", places=(write(tmp_path, "slow", "time.sleep(0.05) if call == 'log_metrics' else None"),))
    job = told_job("slow")
    tell(job, *[metrics(step, loss=float(step)) for step in range(1000)])
    ledger.deliveries_open()
    for turn in range(3):
        worker = workers.start(f"w{turn}")
        wait_until(lambda turn=turn: len(points(tmp_path, "slow")) >= 150 * (turn + 1), 40)
        children = family(worker)
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        wait_until(lambda children=children: gone(children))
        assert children and Delivery.objects.get(backend="slow").seq < 1000
    workers.start("last")
    wait_until(lambda: Delivery.objects.get(backend="slow").seq == 1000, 40)
    told = [row[0] for row in points(tmp_path, "slow")]
    assert sorted(set(told)) == list(range(1, 1001)) and len(told) <= 1000 + 3 * 10
    first = list(dict.fromkeys(told))
    assert first == sorted(first)  # in order; only the call that was cut off was made again
    assert len([call for call in calls(tmp_path, "slow") if call[0] == "create_experiment"]) == 1


def test_what_is_recorded_wakes_a_worker_through_the_broker(
    tmp_path: Path, told_job: Told, configure: Any, workers: Workers
) -> None:
    configure("slow", places=(write(tmp_path, "slow"),))
    workers.start("one")
    job = told_job("slow")
    delivered = Delivery.objects.filter(job=job, backend="slow")
    told = 0

    def heard() -> bool:
        nonlocal told
        tell(job, metrics(told, loss=1.0))  # nobody opens the delivery but the worker that hears of this
        told += 1
        return delivered.exists()

    wait_until(heard, 90)  # however long the worker takes to start
    wait_until(lambda: delivered.filter(points=told).exists(), 60)
    assert [row[2] for row in points(tmp_path, "slow")] == list(range(told))


def test_two_workers_share_the_deliveries_and_double_nothing(
    tmp_path: Path, told_job: Told, configure: Any, workers: Workers
) -> None:
    configure("slow", places=(write(tmp_path, "slow", "time.sleep(0.01)"),))
    jobs = [told_job("slow") for _ in range(6)]
    for job in jobs:
        tell(job, *[metrics(step, loss=1.0) for step in range(200)])
    ledger.deliveries_open()
    for name in ("one", "two"):
        workers.start(name)
    wait_until(lambda: Delivery.objects.filter(backend="slow", seq=200).count() == 6, 60)
    time.sleep(0.2)
    by_job = {f"experiment-{job.pk}": [] for job in jobs}
    for call in calls(tmp_path, "slow"):
        if call[0] == "log_metrics":
            by_job[call[1]] += [row[0] for row in call[2]]
    assert all(told == list(range(1, 201)) for told in by_job.values())
