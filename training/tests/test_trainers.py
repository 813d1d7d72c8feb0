"""The trainers' manifests: what a form and a job may ask of them."""

from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from training.trainers import trainer_get, trainers_all


def test_the_trainers_that_come_along_are_found() -> None:
    assert {"ultralytics", "example"} <= trainers_all().keys()


def test_defaults_are_filled_in_and_limits_hold() -> None:
    trainer = trainer_get("ultralytics")
    assert trainer.config_clean({"epochs": 3})["imgsz"] == 640
    with pytest.raises(ValidationError) as refused:
        trainer.config_clean({"epochs": 0, "imgsz": "large", "optimizer": "Magic", "cos_lr": 1})
    assert refused.value.message_dict.keys() == {"epochs", "imgsz", "optimizer", "cos_lr"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), pytest.param(10**400, id="huge"), True, None, [], "1"])
def test_a_number_is_a_number_within_its_limits(value: Any) -> None:
    trainer = trainer_get("ultralytics")
    if value is None:
        assert trainer.config_clean({"learning_rate": value})
    else:
        with pytest.raises(ValidationError):
            trainer.config_clean({"learning_rate": value})


def test_weights_are_taken_only_from_where_people_may_import(tmp_path: Path, settings: Any) -> None:
    settings.IMPORT_ROOTS = [tmp_path / "allowed"]
    trainer = trainer_get("ultralytics")
    for place in ("allowed", "elsewhere"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "mine.pt").write_bytes(b"weights")
    (tmp_path / "allowed" / "link.pt").symlink_to(tmp_path / "elsewhere" / "mine.pt")
    trainer.model_clean("detection", str(tmp_path / "allowed" / "mine.pt"))
    for refused in ("elsewhere/mine.pt", "allowed/none.pt", "allowed/../elsewhere/mine.pt", "allowed/link.pt"):
        with pytest.raises(ValidationError, match="unknown"):
            trainer.model_clean("detection", str(tmp_path / refused))


def test_a_task_that_a_trainer_does_not_know_is_refused() -> None:
    with pytest.raises(ValidationError, match="not cooking"):
        trainer_get("ultralytics").model_clean("cooking", "yolo11n.yaml")
