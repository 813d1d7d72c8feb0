"""The worker's cache holds what is used, whole, within its limit, whatever other jobs do and however they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trainers.sdk.cache import DatasetCache
from trainers.sdk.manifest import SnapshotFile

HOLDER = """
import sys, time
from pathlib import Path
from trainers.sdk.cache import DatasetCache
cache = DatasetCache(Path(sys.argv[1]))
cache.use(sys.argv[2])
print("in use", flush=True)
time.sleep(60)
"""
FILE = SnapshotFile("file", 1000, None, "image", "train")


def filled(root: Path, *keys: str) -> DatasetCache:
    """A cache with these datasets of 1,000 bytes, the first used longest ago."""
    cache = DatasetCache(root)
    for age, key in enumerate(reversed(keys)):
        cache.partial(key).mkdir(parents=True)
        (cache.partial(key) / "file").write_bytes(b"x" * 1000)
        cache.finish(key, cache.partial(key), [FILE])
        os.utime(cache.folder(key) / ".complete", (1e9 - age, 1e9 - age))
    return cache


def held(root: Path, key: str) -> subprocess.Popen[bytes]:
    """A process of its own that uses a dataset."""
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(root), key], stdout=-1)
    assert holder.stdout is not None and holder.stdout.readline() == b"in use\n"
    return holder


def test_what_was_used_least_goes_first_and_nothing_in_use(tmp_path):
    cache = filled(tmp_path, "a", "b", "c")
    cache.use("a")
    assert DatasetCache(tmp_path).clean(1500) == ["b", "c"]
    assert cache.is_complete("a")


def test_a_use_makes_a_dataset_the_newest(tmp_path):
    filled(tmp_path, "a", "b")
    DatasetCache(tmp_path).use("a")  # and lets it go again
    assert DatasetCache(tmp_path).clean(1500) == ["b"]


def test_what_another_process_uses_stays_until_it_is_killed(tmp_path):
    filled(tmp_path, "a", "b")
    holder = held(tmp_path, "a")
    try:
        assert DatasetCache(tmp_path).clean(0) == ["b"]
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    assert DatasetCache(tmp_path).clean(0) == ["a"]


def test_half_a_download_counts_and_goes_unless_it_goes_on(tmp_path):
    cache = filled(tmp_path, "a")
    for key in ("left", "going"):
        cache.partial(key).mkdir()
        (cache.partial(key) / "file").write_bytes(b"x" * 5000)
    cache.use("going")
    assert sorted(DatasetCache(tmp_path).clean(0)) == ["a", "left"]
    assert cache.partial("going").exists()


def test_what_a_killed_remover_left_is_removed(tmp_path):
    (tmp_path / ".abc.removed" / "deep").mkdir(parents=True)
    DatasetCache(tmp_path).clean(1e9)
    assert not list(tmp_path.iterdir())


def test_two_who_clean_at_once_remove_each_dataset_once(tmp_path):
    keys = [f"k{number}" for number in range(40)]
    filled(tmp_path, *keys)
    clean = "import sys; from pathlib import Path; from trainers.sdk.cache import DatasetCache; "
    clean += "print(*DatasetCache(Path(sys.argv[1])).clean(0))"
    both = [subprocess.Popen([sys.executable, "-c", clean, str(tmp_path)], stdout=-1, text=True) for _ in range(2)]
    removed = [key for one in both for key in one.communicate(timeout=60)[0].split()]
    assert sorted(removed) == sorted(keys)


def test_more_goes_where_the_disk_must_have_room(tmp_path, monkeypatch):
    filled(tmp_path, "a", "b")
    free = iter([500, 2000])
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": next(free)}))
    assert DatasetCache(tmp_path).clean(1e9, least_free=1500) == ["a"]


def jobs_on(make_sdk, snapshot, tmp_path):
    """The second and later jobs on a snapshot."""
    numbers = iter(range(2, 9))
    return lambda **more: make_sdk(SPOOL_DIR=str(tmp_path / f"spool{next(numbers)}"), **snapshot, **more)


@pytest.mark.parametrize("name", ["images/train/0.png", "labels/train/0.txt"])
def test_a_file_that_a_job_wrote_into_is_fetched_again(make_sdk, platform, snapshot, tmp_path, name):
    folder = make_sdk(**snapshot).download_dataset()
    right = (folder / name).read_bytes()
    (folder / name).write_bytes(b"X" * len(right))
    platform.gets.clear()
    jobs_on(make_sdk, snapshot, tmp_path)().download_dataset()
    assert (folder / name).read_bytes() == right
    assert platform.gets == {name: 1}


def test_a_label_that_was_only_touched_is_not_fetched(make_sdk, platform, snapshot, tmp_path):
    folder = make_sdk(**snapshot).download_dataset()
    os.utime(folder / "labels/train/0.txt", (1, 1))
    (folder / "images/train/1.png").unlink()
    platform.gets.clear()
    again = jobs_on(make_sdk, snapshot, tmp_path)
    again().download_dataset()
    assert platform.gets == {"images/train/1.png": 1}
    again().download_dataset()
    assert platform.gets.total() == 1


def test_only_labelled_images_come_when_asked_and_the_rest_when_wanted(make_sdk, platform, snapshot, tmp_path):
    manifest = platform.files["snapshot/manifest.json"].replace(b"labels/train/0.txt", b"notes/train/0.txt")
    platform.files |= {"snapshot/manifest.json": manifest, "notes/train/0.txt": b"0 0.5 0.5 0.2 0.2\n"}
    manifest = manifest.replace(b'"role": "label"', b'"role": "metadata"', 1)
    platform.files["snapshot/manifest.json"] = manifest
    sdk = make_sdk(**snapshot)
    folder = sdk.download_dataset(only_labelled=True)
    assert not (folder / "images/train/0.png").exists()
    assert (platform.gets["images/train/0.png"], platform.gets["images/train/1.png"]) == (0, 1)
    sdk.create_data_yaml(folder)
    assert "images/train/0.png" not in (tmp_path / "work/dataset/train.txt").read_text()
    platform.gets.clear()
    again = jobs_on(make_sdk, snapshot, tmp_path)
    again().download_dataset(only_labelled=True)
    assert platform.gets.total() == 0
    again().download_dataset()
    assert platform.gets == {"images/train/0.png": 1}


def test_a_dataset_that_does_not_fit_on_the_disk_is_told_at_once(make_sdk, platform, snapshot, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(OSError, match="No space left on device for the dataset"):
        make_sdk(**snapshot).download_dataset()
    assert platform.gets == {"snapshot/manifest.json": 1}


def test_the_platform_hears_how_far_a_download_is(make_sdk, platform, snapshot):
    sdk = make_sdk(**snapshot)
    sdk.download_dataset()
    until = time.monotonic() + 20
    while not (told := [beat for beat in platform.bodies("heartbeat") if beat.get("download", {}).get("files") == 24]):
        assert time.monotonic() < until
        time.sleep(0.01)
    said = told[0]["download"]
    assert said["of"] == 24 and said["bytes"] == said["of_bytes"] > 0
