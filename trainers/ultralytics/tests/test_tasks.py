"""Every task of Ultralytics, each trained for two epochs on real digits by the trainer's own program."""

from __future__ import annotations

import hashlib
import json
from io import BytesIO

import pytest
from PIL import Image

from trainers.ultralytics.tests.test_train import ended, in_mid_run, reports

SMALL = {"optimizer": "AdamW", "learning_rate": 0.003, "mosaic": 0.0, "fliplr": 0.0}


@pytest.mark.parametrize(
    ("task", "model", "losses", "primary", "pictures"),
    [
        ("segmentation", "yolo11n-seg.yaml", {"box_loss", "seg_loss", "cls_loss"}, "metrics/mAP50-95(M)", "MaskPR"),
        ("pose", "yolo26n-pose.yaml", {"box_loss", "pose_loss", "kobj_loss"}, "metrics/mAP50-95(P)", "PosePR"),
        ("obb", "yolov8n-obb.yaml", {"box_loss", "cls_loss"}, "metrics/mAP50-95(B)", "BoxPR"),
        ("classification", "yolo11n-cls.yaml", {"loss"}, "metrics/accuracy_top1", "confusion_matrix"),
    ],
)
def test_two_epochs_of_a_task(platform, start, offer, task, model, losses, primary, pictures):
    offer(task)
    code, output = ended(start(TASK_TYPE=task, MODEL_NAME=model, CONFIG=json.dumps(SMALL)))
    assert code == 0, output
    epochs = reports(platform, primary)
    assert [report["epoch"] for report in epochs] == [1, 2]
    assert {f"train/{name}" for name in losses} | {f"val/{name}" for name in losses} <= set(epochs[0]["metrics"])
    assert "lr/pg0" in epochs[0]["metrics"]
    assert reports(platform, f"train/batch/{min(losses)}")
    completion = platform.bodies("completion")[-1]
    assert (completion["status"], completion["last_no"]) == ("completed", platform.last_no)
    assert primary in completion["final_metrics"] and "best_value" in completion
    assert {body["kind"] for body in platform.bodies("checkpoint")} == {"best", "last"}
    stored = {body["name"]: platform.uploads[body["key"]]["data"] for body in platform.bodies("artifact")}
    assert any(pictures in name for name in stored) and "confusion_matrix.png" in stored
    kinds = {body["kind"] for body in platform.bodies("artifact")}
    assert {"prediction", "truth", "confusion_matrix"} <= kinds
    assert all(Image.open(BytesIO(content)).width > 100 for content in stored.values())
    addresses = {line for line in output.splitlines() if line.startswith("ADDRESS")}
    assert addresses and all("127.0.0.1" in address and str(platform.port) in address for address in addresses)


def test_pictures_are_drawn_only_where_they_are_wanted(platform, start, offer):
    offer("classification")
    settings = {"TASK_TYPE": "classification", "MODEL_NAME": "yolo11n-cls.yaml", "EPOCHS": "1"}
    code, output = ended(start(**settings, CONFIG=json.dumps(SMALL | {"plots": False})))
    assert code == 0, output
    assert platform.bodies("artifact") == []
    best = next(body for body in platform.bodies("checkpoint") if body["kind"] == "best")
    weights_go_on(platform, start, platform.uploads[best["key"]]["data"], settings)


def weights_go_on(platform, start, content, settings):
    """The checkpoint of one job is what the next begins from, once its checksum is found right."""
    platform.files["weights/mine.pt"] = content
    platform.calls.clear()
    digest = hashlib.sha256(content).hexdigest()
    weights = {"MODEL_NAME": "mine", "WEIGHTS_CHECKPOINT": "weights/mine.pt", "WEIGHTS_SHA256": digest}
    restart(platform)
    code, output = ended(start(**(settings | weights), CONFIG=json.dumps(SMALL | {"plots": False})))
    assert code == 0, output
    assert platform.bodies("completion")[-1]["status"] == "completed"
    assert "Transferred" in output


def restart(platform):
    """As a new attempt does: numbers begin anew, and so does the spool."""
    platform.last_no = 0
    platform.records.clear()


@pytest.mark.parametrize(
    ("content", "digest", "message"),
    [
        (b"not what was stored", "0" * 64, "another SHA-256"),
        (b"no weights at all", hashlib.sha256(b"no weights at all").hexdigest(), "can't be read as weights"),
    ],
)
def test_weights_that_are_not_what_they_are_said_to_be_are_refused(platform, start, content, digest, message):
    platform.files["weights/mine.pt"] = content
    code, output = ended(start(WEIGHTS_CHECKPOINT="weights/mine.pt", WEIGHTS_SHA256=digest))
    completion = platform.bodies("completion")[-1]
    assert (code, completion["status"]) == (1, "failed"), output
    assert message in completion["message"]


def test_another_task_is_cancelled_as_well(platform, start, offer):
    offer("segmentation")
    process = in_mid_run(
        platform, lambda **more: start(TASK_TYPE="segmentation", MODEL_NAME="yolo26n-seg.yaml", **more)
    )
    platform.cancel = True
    code, output = ended(process)
    assert code == 0, output
    assert platform.bodies("completion")[-1]["status"] == "cancelled"
    assert "last" in {body["kind"] for body in platform.bodies("checkpoint")}
    assert platform.bodies("artifact") == []
