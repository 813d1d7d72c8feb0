"""A snapshot says exactly which data were used, notices changes, and opens exactly its own files."""

import asyncio
import gzip
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from training.datasets import snapshot as snapshots
from training.datasets.digests import digests_key
from training.datasets.scan import DatasetError
from training.datasets.services import dataset_delete, dataset_import
from training.datasets.snapshot import (
    MANIFEST_NAME,
    UnknownFile,
    snapshot_manifest,
    snapshot_take,
    snapshot_urls,
    snapshot_verify,
)
from training.datasets.split import SplitError
from training.models import Dataset, DatasetSnapshot, Organization, StoredRemoval
from training.storage.store import external_store, internal_store

pytestmark = pytest.mark.django_db
JOB_SPLIT = {"train": 0.5, "val": 0.5, "seed": 3}


@pytest.fixture
def dataset(settings, tmp_path) -> Dataset:
    settings.INTERNAL_STORAGE_URL = f"file://{tmp_path / 'internal'}"
    settings.EXTERNAL_STORAGE_URL = f"file://{tmp_path / 'external'}"
    folder = tmp_path / "digits"
    for number, name in enumerate(("train/a", "train/b", "val/c", "val/d")):
        for part in ("images", "labels"):
            (folder / part / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20 + number, 20)).save(folder / f"images/{name}.png")
        (folder / f"labels/{name}.txt").write_text(f"{number % 2} 0.5 0.5 0.25 0.25\n")
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [zero, one]\n")
    organization = Organization.objects.create(name="Lab", slug="lab")
    return dataset_import(organization, "digits", folder, None, anywhere=True)


def stored(dataset: Dataset, name: str) -> Path:
    return external_store().root / dataset.prefix / name  # type: ignore[attr-defined]


def fetch(url: str, headers: dict[str, str] | None = None) -> httpx.Response:
    from platform_site.asgi import application

    async def get() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(application)) as client:
            return await client.get(url, headers=headers)

    return asyncio.run(get())


def test_it_lists_every_file_with_size_role_and_split(dataset):
    snapshot = snapshot_take(dataset)
    manifest = snapshot_manifest(snapshot)
    assert list(manifest) == ["classes", "files", "format", "task_type", "version_hash"]
    assert (manifest["format"], manifest["task_type"], manifest["classes"]) == ("yolo", "detection", ["zero", "one"])
    files = {file["path"]: file for file in manifest["files"]}
    label = b"0 0.5 0.5 0.25 0.25\n"
    assert files["labels/train/a.txt"] == {
        "path": "labels/train/a.txt",
        "size": len(label),
        "sha256": hashlib.sha256(label).hexdigest(),
        "role": "label",
        "split": "train",
    }
    image = files["images/val/c.png"]
    drawn = hashlib.sha256(stored(dataset, "images/val/c.png").read_bytes()).hexdigest()
    assert (image["sha256"], image["role"], image["split"]) == (drawn, "image", "val")
    assert (files["data.yaml"]["role"], files["data.yaml"]["split"]) == ("metadata", None)


def test_its_row_counts_files_bytes_and_images(dataset):
    snapshot = snapshot_take(dataset)
    sizes = [found.size for found in external_store().list(dataset.prefix)]
    assert (snapshot.file_count, snapshot.total_bytes) == (9, sum(sizes))
    assert (snapshot.split_counts, snapshot.split_seed) == ({"train": 2, "val": 2}, None)


def test_the_version_hash_is_of_the_canonical_content(dataset):
    snapshot = snapshot_take(dataset)
    content = json.loads(gzip.decompress(internal_store().get(snapshot.manifest_key)))
    assert content.pop("version_hash") == snapshot.version_hash
    spelled = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    assert hashlib.sha256(spelled).hexdigest() == snapshot.version_hash


def test_the_same_data_are_the_same_snapshot(dataset):
    first, again = snapshot_take(dataset), snapshot_take(Dataset.objects.get(pk=dataset.pk))
    assert first == again
    assert DatasetSnapshot.objects.count() == 1


def test_a_list_that_was_lost_is_written_again(dataset):
    first = snapshot_take(dataset)
    before = internal_store().get(first.manifest_key)
    internal_store().delete(first.manifest_key)
    assert snapshot_take(dataset) == first
    assert internal_store().get(first.manifest_key) == before


def test_another_split_or_label_is_another_snapshot(dataset):
    first = snapshot_take(dataset)
    split = snapshot_take(dataset, JOB_SPLIT)
    assert (split.split_seed, split.split_counts) == (3, {"train": 2, "val": 2})
    stored(dataset, "labels/train/a.txt").write_text("1 0.5 0.5 0.25 0.25\n")
    assert len({first.version_hash, split.version_hash, snapshot_take(dataset).version_hash}) == 3


def test_a_label_is_in_the_part_of_its_image(dataset):
    files = snapshot_manifest(snapshot_take(dataset, JOB_SPLIT))["files"]
    parts = {file["path"]: file["split"] for file in files}
    for image in (path for path in parts if path.startswith("images/")):
        assert parts[image.replace("images/", "labels/").replace(".png", ".txt")] == parts[image]


def test_a_wrong_split_and_lost_data_are_refused(dataset):
    with pytest.raises(SplitError):
        snapshot_take(dataset, {"train": 2})
    external_store().delete_all(dataset.prefix)
    with pytest.raises(DatasetError, match="files of digits are no longer in the external store"):
        snapshot_take(dataset)


def test_unchanged_data_verify(dataset):
    snapshot = snapshot_take(dataset)
    stored(dataset, "images/train/new.png").write_bytes(b"more")
    assert snapshot_verify(snapshot) == []


def test_changed_and_missing_files_are_named(dataset):
    snapshot = snapshot_take(dataset)
    stored(dataset, "images/train/a.png").unlink()
    stored(dataset, "images/val/c.png").write_bytes(b"x")
    stored(dataset, "labels/val/d.txt").write_text("0 0.5 0.5 0.25 0.26\n")
    problems = snapshot_verify(snapshot)
    assert problems[0] == "images/train/a.png: the file is missing."
    assert problems[1].startswith("images/val/c.png: the file has 1 bytes, but had ")
    assert problems[2:] == ["labels/val/d.txt: the file's content has changed."]


def flip(path: Path) -> None:
    """Another byte in the middle of the file, written later than the rest; the size stays."""
    content, written = bytearray(path.read_bytes()), path.stat().st_mtime_ns
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(written + 10**9, written + 10**9))


def test_one_byte_of_an_image_is_noticed(dataset):
    first = snapshot_take(dataset)
    flip(stored(dataset, "images/val/c.png"))
    assert snapshot_verify(first) == ["images/val/c.png: the file's content has changed."]
    assert snapshot_verify(first) == ["images/val/c.png: the file's content has changed."]
    later = snapshot_take(dataset)
    assert later != first and snapshot_verify(later) == []


def test_images_are_read_again_only_where_they_were_written(dataset, monkeypatch):
    snapshot, read = snapshot_take(dataset), []
    original = type(external_store()).read

    def reading(store: Any, key: str, *more: Any) -> Any:
        read.append(key.removeprefix(f"{dataset.prefix}/"))
        return original(store, key, *more)

    monkeypatch.setattr(type(external_store()), "read", reading)
    os.utime(stored(dataset, "images/train/b.png"), (1, 1))
    assert [snapshot_verify(snapshot), snapshot_verify(snapshot)] == [[], []]
    assert snapshot_take(dataset) == snapshot
    assert [name for name in read if name.startswith("images/")] == ["images/train/b.png"]


def test_who_makes_a_job_does_not_wait_for_images_to_be_read(dataset, monkeypatch):
    internal_store().delete(digests_key(dataset.prefix))
    monkeypatch.setattr("training.datasets.snapshot.READ_SECONDS", -1.0)
    hurried = snapshot_take(dataset)
    images = [file for file in snapshot_manifest(hurried)["files"] if file["role"] == "image"]
    assert images and all(file["sha256"] is None and file["size"] > 0 for file in images)
    assert snapshot_verify(hurried) == []
    monkeypatch.undo()
    again = snapshot_take(dataset)
    assert all(file["sha256"] for file in snapshot_manifest(again)["files"]) and again.pk != hurried.pk


@pytest.mark.parametrize(
    "left", [None, b"not gzip", gzip.compress(b"half")[:-9], gzip.compress(b"half"), gzip.compress(b"\xff a b\n")]
)
def test_digests_that_are_lost_or_broken_are_made_again(dataset, left):
    first, key = snapshot_take(dataset), digests_key(dataset.prefix)
    before = gzip.decompress(internal_store().get(key))
    internal_store().delete(key)
    if left is not None:
        internal_store().put(key, left)
    assert snapshot_take(dataset) == first
    assert gzip.decompress(internal_store().get(key)) == before


def test_what_was_read_is_kept_where_the_time_is_not_enough_for_all(dataset, monkeypatch):
    first = snapshot_take(dataset)
    internal_store().delete(digests_key(dataset.prefix))
    with pytest.raises(TimeoutError):
        snapshot_verify(first, seconds=-1)
    clock = iter([0.0, 1.0, 2.0] + [99.0] * 1000)
    monkeypatch.setattr(snapshots, "_within", lambda items, until: items)
    monkeypatch.setattr("training.datasets.digests.time", type("Clock", (), {"monotonic": lambda: next(clock)}))
    monkeypatch.setattr("training.datasets.digests.THREADS", 1)
    with pytest.raises(TimeoutError):
        snapshot_verify(first, seconds=50 - time.monotonic())
    kept = gzip.decompress(internal_store().get(digests_key(dataset.prefix))).decode()
    assert [line.split()[2] for line in kept.splitlines()] == [
        "images/train/a.png",
        "images/train/b.png",
        "images/val/c.png",
    ]


def test_a_snapshot_of_before_images_had_digests_is_told_by_sizes(dataset):
    snapshot = snapshot_take(dataset)
    manifest = snapshot_manifest(snapshot)
    for file in manifest["files"]:
        file["sha256"] = None if file["role"] == "image" else file["sha256"]
    old = {name: value for name, value in manifest.items() if name != "version_hash"}
    snapshot.version_hash = snapshots._version_hash(old)
    internal_store().put(
        snapshot.manifest_key, gzip.compress(json.dumps({**manifest, "version_hash": snapshot.version_hash}).encode())
    )
    flip(stored(dataset, "images/val/c.png"))
    assert snapshot_verify(snapshot) == []
    stored(dataset, "images/val/c.png").write_bytes(b"x")
    assert "had" in snapshot_verify(snapshot)[0]


def test_digests_go_with_their_dataset(dataset):
    dataset_delete(dataset)
    assert StoredRemoval.objects.filter(store="internal", key=digests_key(dataset.prefix), below=False).exists()


def test_a_changed_list_is_named(dataset):
    snapshot = snapshot_take(dataset)
    manifest = snapshot_manifest(snapshot)
    manifest["files"][0]["size"] += 1
    internal_store().put(snapshot.manifest_key, gzip.compress(json.dumps(manifest).encode()))
    assert snapshot_verify(snapshot) == [f"{snapshot.manifest_key}: the snapshot's own list of files was changed."]


def test_its_addresses_give_its_files(dataset):
    snapshot = snapshot_take(dataset)
    names = [file["path"] for file in snapshot_manifest(snapshot)["files"]]
    urls = snapshot_urls(snapshot, names)
    assert list(urls) == names
    response = fetch(urls["images/train/a.png"])
    assert (response.status_code, response.headers["content-type"]) == (200, "image/png")
    assert response.content == stored(dataset, "images/train/a.png").read_bytes()


def test_the_list_itself_is_served_as_plain_json(dataset):
    snapshot = snapshot_take(dataset)
    url = snapshot_urls(snapshot, [MANIFEST_NAME])[MANIFEST_NAME]
    for headers in ({}, {"accept-encoding": "identity"}):
        response = fetch(url, headers)
        assert response.json() == snapshot_manifest(snapshot)
        assert int(response.headers["content-length"]) == len(response.content)


@pytest.mark.parametrize("name", ["images/train/z.png", "../../secret", "data.yaml/", "", "snapshot/manifest.json.gz"])
def test_any_other_name_is_unknown(dataset, name):
    snapshot = snapshot_take(dataset)
    with pytest.raises(UnknownFile, match="is not a file of this snapshot") as refusal:
        snapshot_urls(snapshot, ["data.yaml", name])
    assert refusal.value.name == name


def test_files_added_later_are_not_opened(dataset):
    snapshot = snapshot_take(dataset)
    stored(dataset, "images/train/new.png").write_bytes(b"more")
    with pytest.raises(UnknownFile):
        snapshot_urls(snapshot, ["images/train/new.png"])


def test_the_list_is_read_once_for_many_calls(dataset, monkeypatch):
    snapshot = snapshot_take(dataset)
    snapshot_urls(snapshot, ["data.yaml"])
    monkeypatch.setattr(snapshots, "_manifest_bytes", lambda key: pytest.fail("the list was read again"))
    assert len(snapshot_urls(snapshot, ["images/train/a.png"] * 3)) == 1
