"""A killed worker with a real YOLO, and a machine that is cut off until its lease is lost: the next attempt."""

import fcntl
import json
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from platform_site.tests.faults import Proxy
from platform_site.tests.test_faults import CREATE, REPORTS, Parts
from platform_site.tests.test_faults_more import Make, make, through
from platform_site.tests.test_server import ROOT
from training.benchmarks.rig.database import Database

__all__ = ["make"]
pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(300)]
EPOCHS = 8
DETECTOR = f"""
import django; django.setup()
import tempfile
from pathlib import Path
from platform_site.demo import user_prepare
from training.datasets import demo
from training.datasets.services import dataset_import
from training.jobs.services import job_create
from training.models import *
demo.SCENES = {{"train": 16, "val": 4}}
user, _ = user_prepare()
organization = Organization.objects.get()
with tempfile.TemporaryDirectory() as folder:
    dataset = dataset_import(organization, "Digits", demo.demo_dataset_write(Path(folder)), user, anywhere=True)
experiment = Experiment.objects.create(project=Project.objects.create(organization=organization, name="p"), name="e")
config = {{"epochs": {EPOCHS}, "batch_size": 8, "imgsz": 64, "device": "cpu"}}
told = {{"trainer": "ultralytics", "model_name": "yolo11n.yaml", "dataset": dataset, "config": config}}
job_create(user=user, experiment=experiment, name="digits", **told)
"""
TOLD = """
import django, json; django.setup()
from training.journal.reader import metric_columns, records_after
from training.models import *
job, epochs = TrainingJob.objects.get(), {}
for columns in metric_columns(job.pk, ["metrics/mAP50(B)"]):
    for attempt, epoch in zip(columns.attempt, columns.epoch):
        epochs.setdefault(str(attempt), []).append(int(epoch))
attempts = JobAttempt.objects.order_by("number").values_list("number", "resumed_epoch", "outcome")
speakers = [record.attempt for record in records_after(job.pk, 0, 100_000, [RecordKind.METRICS])]
print(json.dumps({"state": job.state, "epochs": epochs, "attempts": list(attempts),
                  "in_turn": speakers == sorted(speakers)}))
"""


def told(parts: Parts) -> dict[str, Any]:
    return dict(json.loads(parts.run("-c", TOLD).splitlines()[-1]))


def until(parts: Parts, query: str, seconds: float = 150) -> None:
    """Wait until the database answers yes. It is asked directly: a program of Django's takes seconds to begin."""
    url = parts.environment.get("DATABASE_URL", f"sqlite:///{parts.environment['DATA_DIR']}/platform.sqlite3")
    deadline = time.monotonic() + seconds
    while not Database(url).value(query):
        assert time.monotonic() < deadline, (parts.read(), parts.log.read_text()[-4000:])
        time.sleep(0.1)


def test_a_detector_whose_worker_is_killed_goes_on_from_its_checkpoint(make: Make) -> None:
    parts = make(TRAINERS_DIR=str(ROOT / "trainers"), CHECKPOINT_SECONDS="0")
    parts.run("-c", DETECTOR, seconds=120)
    until(parts, "SELECT count(*) > 0 FROM training_checkpoint WHERE kind = 'last' AND epoch >= 2")
    parts.kill("training")
    parts.begin("training")
    parts.wait_for("completed", 200)
    seen = told(parts)
    (first, second), resumed = seen["attempts"], seen["attempts"][1][1]
    assert first[:2] == [1, None] and second[0] == 2 and resumed >= 2
    before = [epoch for epoch in seen["epochs"]["1"] if epoch <= resumed]
    assert before + seen["epochs"]["2"] == list(range(1, EPOCHS + 1))  # one chart, along one axis


@contextmanager
def nobody_writes(parts: Parts) -> Iterator[None]:
    """On SQLite, no other process is in a transaction meanwhile."""
    if "DATABASE_URL" in parts.environment:
        yield
        return
    path = f"{parts.environment['DATA_DIR']}/platform.sqlite3"
    with open(f"{path}.turn", "ab") as turn, closing(sqlite3.connect(path, timeout=30)) as connection:
        fcntl.flock(turn, fcntl.LOCK_EX)
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.rollback()


@pytest.fixture
def proxy_closed() -> Iterator[list[Proxy]]:
    opened: list[Proxy] = []
    yield opened
    for proxy in opened:
        proxy.close()


def test_a_machine_that_is_cut_off_until_its_lease_is_lost_is_fenced(make: Make, proxy_closed: list[Proxy]) -> None:
    """Its worker is stopped and its trainer reaches nobody; another worker's attempt is on when both come back."""
    parts = make(LOST_GRACE_SECONDS="2")
    proxy = through(parts)
    proxy_closed.append(proxy)
    parts.run("-c", CREATE)
    until(parts, "SELECT count(*) > 20 FROM training_journalrecord WHERE kind = 1")
    proxy.refuses = True
    with nobody_writes(parts):  # a machine that is cut off holds no lock of the database; a stopped process may
        parts.running["training"].send_signal(signal.SIGSTOP)
        time.sleep(0.2)
    parts.begin("spare")
    try:
        until(parts, "SELECT count(*) > 0 FROM training_journalrecord WHERE attempt = 2 AND kind = 1")
        cut_at = parts.read()["found"]["1"]
    finally:
        parts.running["training"].send_signal(signal.SIGCONT)
    proxy.refuses = False
    seen = parts.wait_for("completed", 120)
    assert seen["attempt"] == 2 and seen["found"]["2"] == list(range(1, REPORTS + 1))
    assert seen["found"]["1"] == cut_at == list(range(1, len(cut_at) + 1)) and told(parts)["in_turn"]
    work = Path(parts.environment["DATA_DIR"]) / "work"
    deadline = time.monotonic() + 60
    while left := [path for folder in work.iterdir() for path in folder.iterdir()]:
        assert time.monotonic() < deadline, left  # its trainer was ended, and its folder removed
        time.sleep(0.3)
