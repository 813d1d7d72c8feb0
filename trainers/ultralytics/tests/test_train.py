"""A real YOLO, trained for two epochs by the trainer's own program against a strict platform."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import pytest

from trainers.sdk.schema import checked
from trainers.ultralytics.arguments import known_model

FOLDER = Path(__file__).parents[1]


def ended(process):
    output = process.communicate(timeout=250)[0]
    return process.returncode, output


def reports(platform, prefix):
    return [
        content for _, kind, content in platform.records if kind == "progress" and prefix in str(content["metrics"])
    ]


def test_two_epochs_arrive_with_every_metric_and_both_checkpoints(platform, start):
    code, output = ended(start())
    assert code == 0, output
    epochs = reports(platform, "metrics/mAP50(B)")
    assert [report["epoch"] for report in epochs] == [1, 2]
    assert [report["step"] for report in epochs] == [2, 4]
    names = set(epochs[0]["metrics"])
    assert {"train/box_loss", "val/box_loss", "metrics/mAP50-95(B)", "metrics/recall(B)", "lr/pg0"} <= names
    batches = reports(platform, "train/batch/box_loss")
    assert (batches[0]["epoch"], batches[0]["step"]) == (1, 1)
    completion = platform.bodies("completion")[-1]
    assert (completion["status"], completion["last_no"]) == ("completed", platform.last_no)
    assert completion["best_epoch"] in (1, 2)
    newest = {body["kind"]: body for body in platform.bodies("checkpoint")}
    assert sorted(completion["checkpoints"]) == sorted(body["key"] for body in newest.values())
    for kind in ("best", "last"):
        content = platform.uploads[newest[kind]["key"]]["data"]
        assert hashlib.sha256(content).hexdigest() == newest[kind]["sha256"]
    assert platform.bodies("started")[-1]["total_steps"] == 4
    addresses = {line for line in output.splitlines() if line.startswith("ADDRESS")}
    assert addresses and all("127.0.0.1" in address and str(platform.port) in address for address in addresses)


def in_mid_run(platform, start, **variables):
    """A long training that has reported its first epoch."""
    process = start(EPOCHS="500", **variables)
    while not reports(platform, "metrics/mAP50(B)") and process.poll() is None:
        process.stdout.readline()
    return process


def test_a_signal_ends_the_training_with_its_last_checkpoint_and_no_completion(platform, start):
    process = in_mid_run(platform, start)
    process.terminate()
    code, output = ended(process)
    assert code == 143, output
    assert platform.bodies("completion") == []
    assert "last" in {body["kind"] for body in platform.bodies("checkpoint")}


def test_a_cancel_ends_the_training_with_its_last_checkpoint(platform, start):
    process = in_mid_run(platform, start)
    platform.cancel = True
    code, output = ended(process)
    assert code == 0, output
    assert platform.bodies("completion")[-1]["status"] == "cancelled"
    assert {"cancel_seen": True} in platform.bodies("heartbeat")
    assert "last" in {body["kind"] for body in platform.bodies("checkpoint")}


@pytest.mark.parametrize(
    ("variables", "error_type", "message"),
    [
        ({"EPOCHS": "many"}, "CONFIG_ERROR", "epochs must be a whole number, not 'many'"),
        ({"MODEL_NAME": "yolo99n.yaml"}, "CONFIG_ERROR", "model 'yolo99n.yaml' is neither"),
        ({"DATASET_VERSION_HASH": "changed"}, "DATASET_ERROR", "the dataset has changed"),
    ],
)
def test_what_goes_wrong_is_told_with_its_type(platform, start, variables, error_type, message):
    code, output = ended(start(**variables))
    completion = platform.bodies("completion")[-1]
    assert (code, completion["status"], completion["error_type"]) == (1, "failed", error_type), output
    assert message in completion["message"]
    assert "Traceback" in completion["traceback"]


def test_the_manifest_describes_settings_that_its_own_defaults_satisfy():
    manifest = tomllib.loads((FOLDER / "trainer.toml").read_text())
    defaults = {setting["name"]: setting["default"] for setting in manifest["settings"]}
    assert checked({}, manifest["settings"]) == checked(defaults, manifest["settings"]) == defaults
    assert set(manifest["models"]) == set(manifest["tasks"])
    assert all(known_model(name) == name for names in manifest["models"].values() for name in names)
    assert all({"label", "group", "help", "advanced", "type"} <= set(setting) for setting in manifest["settings"])


@pytest.mark.timeout(300)
def test_a_resumed_training_goes_on_after_its_checkpoint(platform, start, tmp_path):
    process = in_mid_run(platform, start)
    process.terminate()
    ended(process)
    saved = [body for body in platform.bodies("checkpoint") if body["kind"] == "last"][-1]
    platform.files["checkpoint/resume.pt"] = platform.uploads[saved["key"]]["data"]
    platform.records.clear()
    platform.last_no = 0
    place = {"RESUME_CHECKPOINT": "checkpoint/resume.pt", "RESUME_SHA256": saved["sha256"]}
    again = {"ATTEMPT": "2", "SPOOL_DIR": str(tmp_path / "spool2"), "WORK_DIR": str(tmp_path / "work2")}
    process = in_mid_run(platform, start, **place, **again, RESUME_EPOCH=str(saved["epoch"]))
    process.terminate()
    assert ended(process)[0] == 143
    first = reports(platform, "metrics/mAP50(B)")[0]
    assert (first["epoch"], first["step"]) == (saved["epoch"] + 1, 2 * (saved["epoch"] + 1))
    assert not list((tmp_path / "work").glob("runs/train2*"))


@pytest.mark.timeout(300)
def test_a_checkpoint_that_can_not_be_resumed_fails_with_a_reason(platform, start):
    assert ended(start(EPOCHS="1"))[0] == 0  # the library strips the optimiser's state at the end
    last = [body for body in platform.bodies("checkpoint") if body["kind"] == "last"][-1]
    platform.files["checkpoint/resume.pt"] = platform.uploads[last["key"]]["data"]
    platform.last_no = 0
    code, output = ended(start(EPOCHS="3", RESUME_CHECKPOINT="checkpoint/resume.pt"))
    completion = platform.bodies("completion")[-1]
    assert (code, completion["error_type"]) == (1, "STORAGE_ERROR"), output
    assert "no optimiser state" in completion["message"]


@pytest.mark.timeout(300)
def test_another_jobs_weights_are_trained_further(platform, start):
    assert ended(start(EPOCHS="1"))[0] == 0
    best = [body for body in platform.bodies("checkpoint") if body["kind"] == "best"][-1]
    platform.files["checkpoint/weights.pt"] = platform.uploads[best["key"]]["data"]
    platform.last_no = 0
    code, output = ended(start(EPOCHS="1", WEIGHTS_CHECKPOINT="checkpoint/weights.pt", WEIGHTS_SHA256=best["sha256"]))
    assert code == 0 and "weights.pt" in output, output
