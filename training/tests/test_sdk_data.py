"""The SDK's data functions against the platform itself: a live server, the local store, real images."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from trainers.sdk import DatasetError, StorageError, TrainerSDK
from training.datasets.services import dataset_import
from training.datasets.snapshot import snapshot_take
from training.execution.launch import environment_make
from training.jobs.attempts import job_claim
from training.jobs.news import Parts, news_context
from training.jobs.selectors import job_status
from training.models import Checkpoint, JobAttempt, Worker
from training.storage.store import external_store, internal_store
from training.tests.conftest import job_make
from training.tests.datasets_folder import folder_write

KOREAN = "고양이 1 (새)"
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("online"), pytest.mark.once]


@pytest.fixture
def online(settings: Any, live_server: Any) -> None:
    settings.SITE_URL = live_server.url


@pytest.fixture
def snapshot(cast: SimpleNamespace, tmp_path: Path) -> Any:
    """Of a dataset in which names are Korean and have spaces."""
    folder = folder_write(tmp_path / "들어온 것")
    for kind, ending in (("images", "png"), ("labels", "txt")):
        (folder / f"{kind}/train/b.{ending}").rename(folder / f"{kind}/train/{KOREAN}.{ending}")
    return snapshot_take(dataset_import(cast.organization, "병 사진", folder, cast.owner))


@pytest.fixture
def trainer(
    cast: SimpleNamespace, snapshot: Any, worker: Worker
) -> Iterator[Callable[[], tuple[TrainerSDK, JobAttempt]]]:
    """Claims a job on the snapshot, and is the SDK in its trainer's process."""
    made: list[TrainerSDK] = []

    def begin() -> tuple[TrainerSDK, JobAttempt]:
        worker.slots.update(attempt=None)
        attempt = job_claim(job_make(cast, dataset=snapshot.dataset, snapshot=snapshot).pk, worker)
        assert attempt is not None
        made.append(TrainerSDK(environment_make(attempt)))
        return made[-1], attempt

    yield begin
    for sdk in made:
        sdk.close(seconds=1)


def test_a_snapshot_is_downloaded_laid_out_and_looked_through(trainer: Any, snapshot: Any) -> None:
    sdk, _ = trainer()
    folder = sdk.download_dataset()
    assert folder.name == f"{snapshot.pk}_{snapshot.version_hash[:8]}"
    there = {
        stored.key.removeprefix(f"{snapshot.dataset.prefix}/")
        for stored in external_store().list(snapshot.dataset.prefix)
    }
    assert {str(path.relative_to(folder)) for path in folder.rglob("[!.]*") if path.is_file()} == there
    assert f"images/train/{KOREAN}.png" in there and f"labels/train/{KOREAN}.txt" in there
    report = sdk.validate_dataset(folder, classes=len(snapshot.dataset.classes))
    assert report.images == sum(snapshot.split_counts.values()) and report.problems == []
    text = sdk.create_data_yaml(folder).read_text()
    assert f"nc: {len(snapshot.dataset.classes)}" in text
    split = sdk.split_dataset(folder, {"train": 0.5, "val": 0.5}, seed=3)
    assert sum(map(len, split.values())) == report.images


def test_a_second_job_downloads_nothing_and_the_cache_is_cleaned_of_neither(trainer: Any, monkeypatch: Any) -> None:
    first, second = trainer()[0], trainer()[0]
    folder = first.download_dataset()
    monkeypatch.setattr(external_store(), "read", lambda *_: pytest.fail("a byte was read"))
    assert second.download_dataset() == folder
    assert first.clean_dataset_cache(0) == [] and folder.is_dir()


def test_data_that_changed_since_the_snapshot_are_refused_by_name(trainer: Any, snapshot: Any) -> None:
    sdk, _ = trainer()
    label = next(stored.key for stored in external_store().list(snapshot.dataset.prefix) if "/labels/" in stored.key)
    external_store().put(label, b"0 0.1 0.1 0.1 0.1\n")
    with pytest.raises(DatasetError, match=label.rpartition("/")[2]):
        sdk.download_dataset()


@pytest.mark.parametrize("times", ["new", "restored"])
def test_an_image_of_which_one_byte_has_changed_is_refused_by_name(trainer: Any, snapshot: Any, times: str) -> None:
    """Even where its size and its time are as before: the checksum is that of the import."""
    sdk, _ = trainer()
    image = external_store().path(f"{snapshot.dataset.prefix}/images/val/c.png")  # type: ignore[attr-defined]
    before, content = image.stat(), bytearray(image.read_bytes())
    content[-1] ^= 1
    image.write_bytes(content)
    if times == "restored":
        os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(DatasetError, match=r"images/val/c\.png"):
        sdk.download_dataset()


def test_a_checkpoint_goes_up_and_is_what_the_next_attempt_gets(trainer: Any, cast: Any, tmp_path: Path) -> None:
    sdk, attempt = trainer()
    weights = tmp_path / "last.pt"
    weights.write_bytes(bytes(range(256)) * 40_000)
    sdk.upload_checkpoint(weights, "last", epoch=2, step=20, metrics={"val/loss": 0.5})
    assert sdk.wait_for_uploads(30)
    kept = Checkpoint.objects.get()
    assert (kept.epoch, kept.size, kept.metrics) == (2, 10_240_000, {"val/loss": 0.5})
    type(attempt).objects.filter(pk=attempt.pk).update(resumed_from=kept)
    assert sdk.download_checkpoint("checkpoint/resume.pt", tmp_path / "got").read_bytes() == weights.read_bytes()
    with pytest.raises(StorageError, match="no address for"):
        sdk.download_checkpoint("checkpoint/other.pt")


def test_a_file_goes_up_and_its_key_comes_back(trainer: Any, tmp_path: Path) -> None:
    sdk, attempt = trainer()
    (tmp_path / "state.bin").write_bytes(b"state")
    key = sdk.upload_file(tmp_path / "state.bin")
    assert key.startswith(f"jobs/{attempt.job_id}/attempts/1/checkpoints/epoch-")
    assert internal_store().get(key) == b"state"


def test_the_page_shows_how_far_the_download_is(trainer: Any, client: Any, cast: Any) -> None:
    _, attempt = trainer()
    JobAttempt.objects.update(download={"files": 500, "of": 1200, "bytes": 3_000_000, "of_bytes": 4_000_000})
    client.force_login(cast.owner)
    page = client.get(f"/jobs/{attempt.job_id}/").content.decode()
    assert "Data: 500 of 1,200 files" in page and "75 %" in page
    assert news_context(attempt.job_id, Parts.all())["status"].download is not None
    JobAttempt.objects.update(download={"files": 1200, "of": 1200, "bytes": 4_000_000, "of_bytes": 4_000_000})
    status = job_status(attempt.job_id)
    assert status is not None and status.download is None
