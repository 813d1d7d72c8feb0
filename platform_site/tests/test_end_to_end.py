"""The whole platform as its users start it: real web, worker, trainer and a real YOLO that trains for two epochs."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from platform_site.tests.test_server import ROOT, free_port

pytestmark = pytest.mark.end_to_end
SCRIPT = """
import django, json, sys; django.setup()
from training.journal.reader import metric_columns, records_after
from training.models import *
from training.storage.store import internal_store
job = TrainingJob.objects.get(pk=int(sys.argv[1]))
columns = metric_columns(job.pk)
seqs, after = [], 0
while records := records_after(job.pk, after, 1000):
    seqs += [record.seq for record in records]
    after = seqs[-1]
print(json.dumps({
    "state": job.state, "error": job.error_message, "attempt": job.attempt,
    "seqs_whole": seqs == list(range(1, len(seqs) + 1)),
    "names": sorted({name for block in columns for name in block.names}),
    "epochs": sorted({int(epoch) for block in columns for epoch in block.epoch if epoch > 0}),
    "checkpoints": [
        [c.kind, c.size, internal_store().stat(c.key).size, c.sha256 == internal_store().sha256(c.key)]
        for c in job.checkpoints.all()
    ],
    "lines": TrainingLog.objects.filter(job=job).count(),
    "free_slots": Slot.objects.filter(attempt=None).count(), "slots": Slot.objects.count(),
}))
"""


class Platform:
    """`manage.py up` in a folder of its own; ends with everything that it started."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.port = free_port()
        keep = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
        self.environment = {**keep, "DATA_DIR": str(folder / "data"), "HEARTBEAT_SECONDS": "1", "SWEEP_SECONDS": "1"}
        self.environment |= {"SITE_URL": f"http://127.0.0.1:{self.port}", **variables}
        self.environment["DJANGO_SETTINGS_MODULE"] = "platform_site.settings"
        self.log = folder / "up.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        command = [sys.executable, "manage.py", "up", "--port", str(self.port), *arguments]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)

    def run(self, *arguments: str, seconds: float = 60) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=seconds)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def job(self, job_id: int = 1) -> dict[str, Any]:
        return dict(json.loads(self.run("-c", SCRIPT, str(job_id)).splitlines()[-1]))

    def stop(self) -> None:
        if self.process is None:
            return
        family = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(40)
        deadline = time.monotonic() + 10
        while left := [child for child in family if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]:
            assert time.monotonic() < deadline, left
            time.sleep(0.1)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    platform = Platform(tmp_path)
    yield platform
    if platform.process is not None and platform.process.poll() is None:
        platform.stop()


@pytest.mark.timeout(300)
def test_a_real_detector_trains_from_one_command(platform: Platform) -> None:
    platform.start("--demo", "--exit", "--epochs", "2")
    assert platform.process is not None
    platform.process.wait(280)
    output = platform.log.read_text()
    assert "/jobs/1/" in output and "Sign in as" in output and "best checkpoint" in output, output
    told = platform.job()
    assert (told["state"], told["error"], told["attempt"]) == ("completed", "", 1), output
    assert told["seqs_whole"] and told["epochs"] == [1, 2] and told["lines"] > 0
    expected = {"metrics/mAP50(B)", "metrics/mAP50-95(B)", "val/box_loss", "train/box_loss", "lr/pg0"}
    assert expected | {"train/batch/box_loss", "system/cpu.utilization"} <= set(told["names"])
    assert {kind for kind, *_ in told["checkpoints"]} == {"best", "last"}
    assert all(size == stored and right for _, size, stored, right in told["checkpoints"])
    assert told["free_slots"] == told["slots"] > 0


@pytest.mark.timeout(120)
def test_ctrl_c_ends_everything_and_hands_the_job_back(platform: Platform) -> None:
    platform.start("--demo", "--epochs", "50")
    deadline = time.monotonic() + 60
    while "running" not in platform.log.read_text():
        assert time.monotonic() < deadline, platform.log.read_text()
        time.sleep(0.3)
    platform.stop()
    assert platform.job()["state"] == "queued"


def test_a_port_that_is_taken_is_named(platform: Platform) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", platform.port))
        taken.listen()
        command = [sys.executable, "manage.py", "up", "--port", str(platform.port)]
        done = subprocess.run(command, cwd=ROOT, env=platform.environment, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and f"Port {platform.port} can't be used" in done.stderr


@pytest.mark.timeout(120)
def test_a_child_that_dies_is_named_and_ends_the_rest(platform: Platform) -> None:
    platform.start()
    assert platform.process is not None
    deadline = time.monotonic() + 90
    while "The platform runs at" not in platform.log.read_text():
        assert time.monotonic() < deadline, platform.log.read_text()
        time.sleep(0.2)
    family = psutil.Process(platform.process.pid).children(recursive=True)
    beat = next(child for child in family if "beat" in child.cmdline())
    beat.kill()
    assert platform.process.wait(90) != 0
    assert "The beat process was ended by signal 9" in platform.log.read_text()
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in family)
