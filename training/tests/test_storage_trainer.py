"""A trainer on stores in S3: it gets its files and brings its checkpoint by signed addresses, and holds no key."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.conf import settings as site

from training.datasets.services import dataset_import
from training.datasets.snapshot import snapshot_take
from training.execution.launch import worker_folder
from training.models import Checkpoint, JobState, Worker
from training.storage.store import internal_store
from training.tests.datasets_folder import folder_write
from training.tests.object_server import ObjectServer
from training.tests.test_execution import scripted as scripted
from training.tests.test_execution import wait_until

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.timeout(300),
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("stores_on_s3", "online"),
    pytest.mark.once,
]
SIZE = 9 << 20  # more than one part
TRAINER = f"""
import os, time
from pathlib import Path
from trainers.sdk import TrainerSDK

with TrainerSDK() as sdk:
    folder = sdk.download_dataset()
    sdk.report_started(2)
    for epoch in (1, 2):
        files = len(list(folder.rglob("*.png")))
        sdk.report_progress({{"train/loss": 1 / epoch, "files": files}}, epoch=epoch, step=epoch)
    Path("last.pt").write_bytes(bytes([7]) * {SIZE})
    sdk.upload_checkpoint("last.pt", "last", epoch=2)
    assert sdk.wait_for_uploads(120)
    # the mark
    again = sdk.upload_file("last.pt", "last", "last.pt")
    Path("ready").write_text(again)
    waited = time.monotonic() + 60
    while Path("wait").exists() and time.monotonic() < waited:
        time.sleep(0.05)
    sdk.report_completed({{"train/loss": 0.5}})
"""


@pytest.fixture
def online(settings: Any, live_server: Any) -> None:
    """The platform's own address, at which a trainer reaches it."""
    settings.SITE_URL = live_server.url


@pytest.fixture
def snapshot(cast: Any, tmp_path: Path) -> Any:
    return snapshot_take(dataset_import(cast.organization, "Bottles", folder_write(tmp_path / "in"), cast.owner))


def test_a_job_trains_on_s3_and_its_checkpoint_is_verified_there(
    scripted: Any,
    snapshot: Any,
    tmp_path: Path,
) -> None:
    job = scripted(TRAINER, dataset=snapshot.dataset, snapshot=snapshot)
    assert (job.state, job.error_message) == (JobState.COMPLETED, "")
    kept = Checkpoint.objects.get()
    assert (kept.kind, kept.epoch, kept.size) == ("last", 2, SIZE)
    assert internal_store().sha256(kept.key) == kept.sha256
    assert [stored.key for stored in internal_store().list(f"jobs/{job.pk}")] == [kept.key]
    assert not (tmp_path / "internal").exists()
    assert not (tmp_path / "external").exists()


def test_a_trainers_process_holds_no_key_of_a_store(
    scripted: Any,
    online: str,
    snapshot: Any,
    worker: Worker,
    object_server: ObjectServer,
    monkeypatch: Any,
) -> None:
    monkeypatch.setenv("INTERNAL_STORAGE_SECRET_KEY", object_server.secret)  # the platform's own environment has it
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", object_server.secret)
    seen: list[bytes] = []
    watching = threading.Thread(target=lambda: seen.extend(_all_that_it_holds(worker)))
    watching.start()
    job = scripted(
        TRAINER.replace('"last.pt")\n    Path("ready")', '"last.pt"); Path("wait").touch()\n    Path("ready")'),
        dataset=snapshot.dataset,
        snapshot=snapshot,
    )
    watching.join(120)
    assert job.state == JobState.COMPLETED
    assert any(b"CALLBACK_TOKEN=" in held for held in seen)
    assert any(b"version_hash" in held for held in seen)  # the files of the cache were looked at
    for secret in (object_server.secret.encode(), object_server.access.encode() + b"\0", site.SECRET_KEY.encode()):
        assert not [held[:200] for held in seen if secret in held]


def _all_that_it_holds(worker: Worker) -> list[bytes]:
    """Environment, arguments and open files of the trainer and its shim, and every file that was given to it."""
    folder = worker_folder(worker)
    wait_until(lambda: list(folder.rglob("ready")), 100)
    family = [one for one in psutil.Process().children(recursive=True) if "train" in " ".join(one.cmdline())]
    found = [held for process in family for held in _held_by(process)]
    for place in (folder, Path(site.DATASET_CACHE_DIR)):
        found += [path.read_bytes() for path in place.rglob("*") if path.is_file()]
    for path in folder.rglob("wait"):
        path.unlink()
    return found


def _held_by(process: psutil.Process) -> Iterator[bytes]:
    place = Path("/proc", str(process.pid))
    yield (place / "environ").read_bytes()
    yield (place / "cmdline").read_bytes()
    for opened in (place / "fd").iterdir():
        if opened.resolve().is_file():
            yield opened.read_bytes()
