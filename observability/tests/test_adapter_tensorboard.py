"""TensorBoard's adapter, against TensorBoard's own reader."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

from observability.adapters.tensorboard import TensorBoard
from observability.base import AdapterError, Ending
from observability.tests.adapter_cast import Config, job_facts, opened, reports, stored
from observability.tests.backends import tensorboard


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    with tensorboard.backend(tmp_path_factory.mktemp("tensorboard")) as variables:
        yield variables


def files(experiment: str, config: Config) -> list[Path]:
    return sorted((Path(config["TENSORBOARD_LOG_DIR"]) / experiment).iterdir())


def test_each_attempt_has_a_file_and_no_name_leaves_the_folder(config: Config) -> None:
    adapter, state = opened(TensorBoard, config), {}
    experiment = adapter.create_experiment(job_facts(), state)
    adapter.log_parameters(experiment, {"lr": 0.1}, state)
    adapter.log_metrics(experiment, [*reports(2), *reports(2, 3, attempt=2)], state)
    assert experiment == "An%2FOrganization/%2E./job-42-20251009-085320"
    assert [path.name.split(".")[3] for path in files(experiment, config)] == [f"{number:010}" for number in range(3)]
    assert {path.name: path.stat().st_size for path in files(experiment, config)} == state["files"]


def test_hyperparameters_and_the_last_end_are_shown(config: Config) -> None:
    adapter, state = opened(TensorBoard, config), {}
    experiment = adapter.create_experiment(job_facts(43), state)
    adapter.log_parameters(experiment, {"lr": 0.1, "flag": True, "model": "yolo11n", "none": None}, state)
    adapter.log_metrics(experiment, reports(1), state)
    adapter.finalize(experiment, Ending("failed"), state)
    adapter.log_metrics(experiment, reports(1, 2, attempt=2), state)
    adapter.log_artifact(experiment, "best", "http://127.0.0.1/best.pt", {"epoch": 2}, state)
    adapter.finalize(experiment, Ending("completed"), state)
    shown = tensorboard.accumulator(experiment, config)
    told = {
        tag: plugin_data_pb2.HParamsPluginData.FromString(content)
        for tag, content in shown.PluginTagToContent("hparams").items()
    }
    start = told["_hparams_/session_start_info"].session_start_info.hparams
    assert (start["lr"].number_value, start["flag"].bool_value, start["none"].string_value) == (0.1, True, "null")
    end = told["_hparams_/session_end_info"].session_end_info
    assert end.status == api_pb2.STATUS_SUCCESS, "the first end was cut off"
    assert b"http://127.0.0.1/best.pt" in shown.Tensors("artifacts/best")[0].tensor_proto.string_val[0]


def test_a_torn_record_is_cut_off(config: Config) -> None:
    adapter, state = opened(TensorBoard, config), {}
    experiment = adapter.create_experiment(job_facts(44), state)
    adapter.log_metrics(experiment, reports(2), state)
    with files(experiment, config)[0].open("ab") as file:
        file.write(b"half a record")
    adapter.log_metrics(experiment, reports(2, 3), state)
    assert len(tensorboard.read(experiment, config)["loss"]) == 4


def test_what_was_delivered_and_is_gone_pauses_the_delivery(config: Config) -> None:
    adapter, state = opened(TensorBoard, config), {}
    experiment = adapter.create_experiment(job_facts(45), state)
    adapter.log_metrics(experiment, reports(2), state)
    before = stored(state)
    files(experiment, config)[0].unlink()
    with pytest.raises(AdapterError, match="Deliver from the beginning") as raised:
        adapter.log_metrics(experiment, reports(2, 3), state)
    assert raised.value.permanent and state == before


def test_a_folder_that_cannot_be_written_is_permanent(tmp_path: Path) -> None:
    (tmp_path / "a-file").touch()
    with pytest.raises(AdapterError) as raised:
        opened(TensorBoard, {"TENSORBOARD_LOG_DIR": str(tmp_path / "a-file" / "events")}).check()
    assert raised.value.permanent


def test_a_full_disk_is_temporary_and_leaves_no_double(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter, state = opened(TensorBoard, config), {}
    experiment = adapter.create_experiment(job_facts(46), state)
    adapter.log_metrics(experiment, reports(2), state)
    before = stored(state)
    with monkeypatch.context() as patch, pytest.raises(AdapterError) as raised:
        patch.setattr(os, "fsync", full_disk)
        adapter.log_metrics(experiment, reports(2, 3), state)
    assert not raised.value.permanent and state == before
    adapter.log_metrics(experiment, reports(2, 3), state)
    assert len(tensorboard.read(experiment, config)["loss"]) == 4


def full_disk(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_the_link_shows_the_one_run(config: Config) -> None:
    link = opened(TensorBoard, config).get_experiment_url("Ours/Bottles/job-7")
    assert link == "http://127.0.0.1:6006/?runFilter=%5EOurs%2FBottles%2Fjob%5C-7%24"
