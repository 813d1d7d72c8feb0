"""Processes killed in mid-run: nothing that the SDK accepted is lost, nothing is doubled, nothing is left."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from platform_site.management.commands.up import worker_options
from platform_site.tests.own_database import OwnDatabase
from platform_site.tests.test_end_to_end import Platform
from platform_site.tests.test_server import ROOT

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(180)]
REPORTS = 800
TRAINER = f"""
import time
from trainers.sdk import TrainerSDK

with TrainerSDK() as sdk:
    sdk.report_started(8, {REPORTS})
    for number in range(1, {REPORTS} + 1):
        sdk.report_progress({{"number": number}}, epoch=1 + number // 101, step=number)
        time.sleep(0.01)
    sdk.report_completed({{"number": {REPORTS}}})
"""
CREATE = """
import django; django.setup()
from training.jobs.services import job_create
from training.models import *
user = User.objects.create(username="u")
organization = Organization.objects.create(name="o", slug="o")
experiment = Experiment.objects.create(project=Project.objects.create(organization=organization, name="p"), name="e")
job_create(user=user, experiment=experiment, trainer="steady", model_name="m", dataset=None, config={})
"""
# One process answers all that a test asks: a new one each time takes seconds on a busy machine, and misses what passes.
READ = """
import django, json, sys; django.setup()
from django.db import connection, OperationalError
from training.journal.reader import metric_columns
from training.models import *

def told():
    job = TrainingJob.objects.get()
    found = {}
    for columns in metric_columns(job.pk, ["number"]):
        if "number" in columns.names:
            for attempt, value in zip(columns.attempt, columns.values[:, columns.names.index("number")]):
                found.setdefault(str(attempt), []).append(int(value))
    return {"state": job.state, "attempt": job.attempt, "error": job.error_message, "found": found}

for _ in sys.stdin:
    for tries_left in reversed(range(10)):
        try:
            answer = told()
            break
        except OperationalError:  # a test may end the database's connections, those that wait in the pool too
            if not tries_left:
                raise
        finally:
            connection.close()
    print(json.dumps(answer), flush=True)
"""


class Parts(Platform):
    """The platform's processes, each one ours to kill."""

    def __init__(self, folder: Path, trainer: str = TRAINER, **variables: str) -> None:
        trainers = folder / "spare_trainers"
        (trainers / "steady").mkdir(parents=True)
        (trainers / "__init__.py").touch()
        (trainers / "steady" / "__init__.py").touch()
        (trainers / "steady" / "train.py").write_text(trainer)
        manifest = 'label = "Steady"\nmodule = "spare_trainers.steady.train"\ntasks = ["anything"]\ndataset = false\n'
        (trainers / "steady" / "trainer.toml").write_text(manifest)
        self.database = OwnDatabase()
        super().__init__(folder, **{"TRAINERS_DIR": str(trainers), **self.database.variables, **variables})
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.run("manage.py", "migrate", "--verbosity", "0")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.reader = subprocess.Popen([sys.executable, "-c", READ], cwd=ROOT, env=self.environment, text=True, **pipes)
        for name in self.commands():
            self.begin(name)

    def commands(self) -> dict[str, list[str]]:
        celery = ["-m", "celery", "-A", "platform_site", "--quiet"]
        return {
            "web": ["manage.py", "serve", "--port", str(self.port)],
            "training": [*celery, *worker_options("training", "gpu,cpu", 1)],
            "delivery": [*celery, *worker_options("delivery", "maintenance,delivery", 2)],
            "beat": [*celery, "beat", "--loglevel", "WARNING", "--pidfile="],
        }

    def begin(self, name: str) -> None:
        """Start one of the processes; `spare` is a second training worker, as if on another machine."""
        spare = ["-m", "celery", "-A", "platform_site", "--quiet", *worker_options("spare", "gpu,cpu", 1)]
        command = [sys.executable, *{**self.commands(), "spare": spare}[name]]
        with self.log.open("ab") as log:
            self.running[name] = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)

    def stop_all(self) -> None:
        """SIGTERM to everything at once, as a deployment does it, and wait."""
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            process.wait(60)

    def kill(self, name: str) -> None:
        self.running[name].kill()
        self.running[name].wait(10)

    def read(self) -> dict[str, Any]:
        assert self.reader.stdin is not None and self.reader.stdout is not None
        self.reader.stdin.write("\n")
        self.reader.stdin.flush()
        return dict(json.loads(self.reader.stdout.readline()))

    def wait_for(self, state: str, seconds: float = 60) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while (told := self.read())["state"] != state:
            assert time.monotonic() < deadline, (told, self.log.read_text()[-4000:])
            time.sleep(0.1)
        return told

    def end(self) -> None:
        for process in reversed(self.running.values()):
            process.terminate()
        try:
            for process in self.running.values():
                process.wait(60)
        finally:
            for one in (*self.running.values(), self.reader):
                one.kill()
                one.wait(10)
            self.database.drop()


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    parts = Parts(tmp_path)
    yield parts
    parts.end()


def test_a_web_process_killed_again_and_again_loses_and_doubles_nothing(parts: Parts) -> None:
    parts.run("-c", CREATE)
    parts.wait_for("running")
    for _ in range(4):
        time.sleep(1.2)
        parts.kill("web")
        parts.begin("web")
    told = parts.wait_for("completed")
    assert told["found"] == {"1": list(range(1, REPORTS + 1))}


def test_a_killed_worker_takes_its_trainer_along_and_the_next_attempt_completes(parts: Parts) -> None:
    parts.run("-c", CREATE)
    parts.wait_for("running")
    time.sleep(2)
    family = psutil.Process(parts.running["training"].pid).children(recursive=True)
    assert family
    parts.kill("training")
    deadline = time.monotonic() + 10
    while any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    parts.begin("training")
    told = parts.wait_for("completed", 90)
    first = told["found"]["1"]
    assert told["attempt"] == 2 and told["found"]["2"] == list(range(1, REPORTS + 1))
    assert first and first == list(range(1, len(first) + 1))
    assert not os.listdir(Path(parts.environment["DATA_DIR"]) / "work" / f"training{os.uname().nodename}".lower())
