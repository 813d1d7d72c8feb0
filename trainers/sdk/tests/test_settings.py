"""Settings come from the first place that sets them, and a wrong type is named."""

from __future__ import annotations

import pytest

from trainers.sdk.environment import AttemptEnvironment
from trainers.sdk.errors import SettingError
from trainers.sdk.schema import checked
from trainers.sdk.settings import advanced_settings, basic_settings

SCHEMA = [
    {"name": "epochs", "type": "integer", "default": 10, "minimum": 1, "maximum": 100},
    {"name": "mosaic", "type": "number", "default": 1.0, "minimum": 0, "maximum": 1},
    {"name": "cos_lr", "type": "boolean", "default": False},
    {"name": "optimizer", "type": "choice", "default": "auto", "choices": ["auto", "SGD"]},
]


def test_the_first_place_that_is_set_wins():
    older = {"CONFIG_EPOCHS": "7", "CONFIG_IMGSZ": "96"}
    config = older | {"CONFIG": '{"epochs": 5, "batch_size": 4}'}
    assert basic_settings({})["epochs"] == 100
    assert basic_settings(older)["epochs"] == 7
    assert basic_settings(config)["epochs"] == 5
    assert basic_settings(config | {"EPOCHS": "3"}) == {
        "epochs": 3,
        "batch_size": 4,
        "learning_rate": 0.01,
        "imgsz": 96,
        "device": "",
    }


def test_the_advanced_settings_are_all_the_others():
    variables = {"CONFIG": '{"epochs": 5, "mosaic": 0.3}', "CONFIG_OPTIMIZER": "SGD", "CONFIG_COS_LR": "true"}
    assert advanced_settings(variables) == {"mosaic": 0.3, "optimizer": "SGD", "cos_lr": True}


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"EPOCHS": "many"}, "EPOCHS must be a whole number, not 'many'"),
        ({"EPOCHS": "2.5"}, "EPOCHS must be a whole number"),
        ({"CONFIG": '{"learning_rate": true}'}, "setting learning_rate must be a number, not True"),
        ({"LEARNING_RATE": "nan"}, "LEARNING_RATE must be a number"),
        ({"CONFIG": "{"}, "CONFIG is not JSON"),
        ({"CONFIG": "[1]"}, "CONFIG must be a JSON object, not a list"),
    ],
)
def test_a_wrong_type_is_named(variables, message):
    with pytest.raises(SettingError, match=message):
        basic_settings(variables)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"mosaic": 1.5}, "mosaic must be at most 1, not 1.5"),
        ({"cos_lr": "perhaps"}, "cos_lr must be true or false, not 'perhaps'"),
        ({"optimizer": "Magic"}, "optimizer must be one of auto, SGD, not 'Magic'"),
        ({"mosaik": 1}, "mosaik: this trainer has no such setting"),
    ],
)
def test_a_schema_refuses_what_it_does_not_allow(given, message):
    with pytest.raises(SettingError, match=message):
        checked(given, SCHEMA)


def test_a_schema_gives_defaults_and_types():
    assert checked({"epochs": "3", "cos_lr": "true"}, SCHEMA) == {
        "epochs": 3,
        "mosaic": 1.0,
        "cos_lr": True,
        "optimizer": "auto",
    }


def test_a_variable_that_is_missing_is_named():
    with pytest.raises(SettingError, match="CALLBACK_URL is not set"):
        AttemptEnvironment.read({"WORK_DIR": "/nowhere"})


def test_the_properties_tell_what_to_train(make_sdk):
    sdk = make_sdk(MODEL_NAME="yolo11n.yaml", TASK_TYPE="detection", FRAMEWORK="ultralytics", DATASET_ID="3")
    assert (sdk.job_id, sdk.model_name, sdk.dataset_id) == (42, "yolo11n.yaml", "3")
    assert (sdk.task_type, sdk.framework) == ("detection", "ultralytics")
