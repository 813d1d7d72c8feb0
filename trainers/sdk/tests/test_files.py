"""Checkpoints arrive whole or not at all, and a dataset is downloaded once."""

from __future__ import annotations

import hashlib
import json
import threading

import pytest

from trainers.sdk import DatasetError, StorageError
from trainers.sdk.tests.platform_server import PART_SIZE


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "best.pt"
    path.write_bytes(bytes(range(256)) * (PART_SIZE // 256 * 5 // 2))
    return path


def upload(sdk, path, kind="best"):
    sdk.upload_checkpoint(path, kind, epoch=3, step=60, metrics={"metrics/mAP50(B)": 0.8})
    assert sdk._uploads.wait(20)


def test_a_checkpoint_goes_up_in_parts_and_is_registered(sdk, platform, weights):
    upload(sdk, weights)
    said = platform.bodies("checkpoint")[0]
    assert platform.uploads[said["key"]]["data"] == weights.read_bytes()
    assert said["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert sdk.report_completed() and platform.bodies("completion")[0]["checkpoints"] == [said["key"]]


@pytest.mark.parametrize("fault", ["cut before", "cut after", (503, {}), (500, {})])
def test_an_interrupted_upload_goes_on_where_it_stopped(sdk, platform, weights, fault):
    platform.put_faults.extend([None, fault])
    upload(sdk, weights)
    assert len(platform.bodies("checkpoint")) == 1


def test_an_expired_address_is_renewed_once(sdk, platform, weights):
    platform.put_faults.extend([None, (403, {})])
    upload(sdk, weights)
    assert (len(platform.bodies("urls")), len(platform.bodies("checkpoint"))) == (2, 1)


def test_a_second_refusal_in_a_row_is_an_error_and_training_goes_on(sdk, platform, weights):
    platform.put_faults.extend([(403, {}), (403, {})])
    upload(sdk, weights)
    assert len(platform.bodies("urls")) == 2
    assert platform.bodies("checkpoint") == []
    sdk.close(5)
    assert "was not stored" in platform.lines()[0]["message"]


def test_a_file_damaged_on_the_way_is_sent_again(sdk, platform, weights):
    platform.put_faults.extend([None, None, (422, {"error": "checksum"})])
    upload(sdk, weights)
    assert len(platform.bodies("checkpoint")) == 1


def test_a_checkpoint_may_be_rewritten_while_it_is_uploaded(sdk, platform, weights):
    before = weights.read_bytes()
    platform.put_faults.append((503, {"retry_after": 1}))
    sdk.upload_checkpoint(weights, "last")
    weights.write_bytes(b"the next epoch's")
    assert sdk._uploads.wait(10)
    assert next(iter(platform.uploads.values()))["data"] == before


def test_a_missing_checkpoint_is_a_warning(sdk, platform, tmp_path):
    sdk.upload_checkpoint(tmp_path / "none.pt")
    sdk.close(5)
    assert "none.pt" in platform.lines()[0]["message"]


def test_a_named_file_is_downloaded_and_an_unknown_one_refused(sdk, platform, tmp_path):
    platform.files["checkpoint/last.pt"] = b"weights"
    assert sdk.download_checkpoint("checkpoint/last.pt", tmp_path).read_bytes() == b"weights"
    with pytest.raises(StorageError, match=r"no address for checkpoint/other\.pt"):
        sdk.download_checkpoint("checkpoint/other.pt", tmp_path)


def test_a_dataset_is_downloaded_once(make_sdk, platform, snapshot, tmp_path):
    folder = make_sdk(**snapshot).download_dataset()
    assert folder.name == "7_abcdef01"
    assert (folder / "images/train/0.png").read_bytes() == b"image 0"
    platform.gets.clear()
    assert make_sdk(SPOOL_DIR=str(tmp_path / "spool2"), **snapshot).download_dataset() == folder
    assert platform.gets.total() == 0


def test_two_jobs_at_once_download_a_dataset_once(make_sdk, platform, snapshot, tmp_path):
    jobs = [make_sdk(SPOOL_DIR=str(tmp_path / f"spool{number}"), **snapshot) for number in range(2)]
    threads = [threading.Thread(target=job.download_dataset) for job in jobs]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert max(platform.gets.values()) == 1


def test_a_download_goes_on_with_the_files_that_are_there(make_sdk, platform, snapshot, tmp_path):
    partial = tmp_path / "cache/.7_abcdef01.partial/images/train"
    partial.mkdir(parents=True)
    (partial / "0.png").write_bytes(b"image 0")
    (partial / "1.png").write_bytes(b"IMAGE 1")
    make_sdk(**snapshot).download_dataset()
    assert (platform.gets["images/train/0.png"], platform.gets["images/train/1.png"]) == (0, 1)


def test_labels_come_before_images(make_sdk, platform, snapshot):
    make_sdk(**snapshot).download_dataset()
    asked = platform.bodies("urls")[1]["get"]
    assert [name.split("/")[0] for name in asked] == ["labels"] * 12 + ["images"] * 12


def test_a_file_that_differs_from_its_checksum_is_an_error(make_sdk, platform, snapshot):
    platform.files["images/train/0.png"] = b"imagine"
    with pytest.raises(DatasetError, match=r"images/train/0\.png"):
        make_sdk(**snapshot).download_dataset()


def test_a_changed_dataset_is_an_error(make_sdk, snapshot):
    with pytest.raises(DatasetError, match="has changed"):
        make_sdk(**snapshot | {"DATASET_VERSION_HASH": "other"}).download_dataset()


@pytest.mark.parametrize("path", ["/etc/passwd", "../up", "a/../../b", "a\\b"])
def test_a_manifest_cannot_lead_out_of_its_folder(make_sdk, platform, snapshot, path):
    entry = {"path": path, "size": 1, "sha256": None, "role": "image", "split": "train"}
    platform.files["snapshot/manifest.json"] = json.dumps({"files": [entry]}).encode()
    with pytest.raises(DatasetError, match="out of the dataset"):
        make_sdk(**snapshot).download_dataset()


def test_the_data_yaml_lists_the_splits_and_keeps_the_cache_clean(make_sdk, snapshot, tmp_path):
    sdk = make_sdk(**snapshot)
    folder = sdk.download_dataset()
    before = sorted(folder.rglob("*"))
    text = sdk.create_data_yaml(folder).read_text()
    lists = {line.split(": ")[0]: json.loads(line.split(": ")[1]) for line in text.splitlines()[:2]}
    with open(lists["val"]) as file:
        images = file.read().split()
    assert [image.rpartition("/")[2] for image in images] == ["11.png", "3.png", "7.png"]
    (tmp_path / "work/dataset/labels/train.cache").touch()
    assert sorted(folder.rglob("*")) == before


def test_a_folder_is_inspected_and_split(sdk, tmp_path):
    for part, ending in (("images", "png"), ("labels", "txt")):
        (tmp_path / part).mkdir()
        for number in range(10):
            (tmp_path / part / f"{number}.{ending}").write_text("1 0.2 0.3 0.2 0.2\n" if part == "labels" else "")
    (tmp_path / "labels/4.txt").write_text("9 0.5 0.5 0.1 0.1\n0 0.5 1.5 0.1 0.1\nnonsense\n")
    report = sdk.validate_dataset(tmp_path, classes=2)
    assert (report.images, report.boxes, len(report.problems)) == (10, 9, 3)
    split = sdk.split_dataset(tmp_path, {"train": 0.8, "val": 0.2}, seed=1)
    assert (len(split["train"]), len(split["val"])) == (8, 2)
    assert split == sdk.split_dataset(tmp_path, {"train": 0.8, "val": 0.2}, seed=1)
