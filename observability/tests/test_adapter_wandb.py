"""W&B's adapter, read back from W&B's own files, and uploaded by W&B's own `wandb sync`."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb as sdk

from observability.adapters._wandb_online import Online
from observability.adapters.wandb import NAMES, WeightsAndBiases
from observability.base import AdapterError, Ending
from observability.tests.adapter_cast import TIME, Config, comparable, expected, job_facts, opened, reports, stored
from observability.tests.backends import wandb
from observability.tests.backends.processes import quiet_environment


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    with wandb.backend(tmp_path_factory.mktemp("wandb")) as variables:
        yield variables


def test_the_file_tells_of_the_job_and_its_end(config: Config) -> None:
    adapter, state = opened(WeightsAndBiases, config), {}
    experiment = adapter.create_experiment(job_facts(1), state)
    adapter.log_parameters(experiment, {"lr": 0.1, "none": None}, state)
    adapter.log_metrics(experiment, reports(3, first=8), state)
    adapter.log_artifact(experiment, "best", "http://127.0.0.1/best.pt", {"epoch": 2}, state)
    adapter.finalize(experiment, Ending("failed", {}, "out of memory"), state)
    told = wandb.records(wandb.file_of(experiment, config))
    run = told[0].run
    assert experiment == f"An~2FOrganization-../job-1-{round((TIME + 0.123456) * 1000)}"
    assert (run.project, run.run_id) == tuple(experiment.rsplit("/", 1))
    assert (run.display_name, run.run_group, list(run.tags)) == ("이름 'of' a (job)", "First", ["first", "둘째"])
    assert {item.key: item.value_json for record in told for item in record.config.update} == {
        "lr": "0.1",
        "none": "null",
    }
    assert [record.history.step.num for record in told if record.HasField("history")] == [8, 9, 10]
    summary = {item.nested_key[0]: item.value_json for record in told for item in record.summary.update}
    assert json.loads(summary["artifact.best"]) == {"url": "http://127.0.0.1/best.pt", "epoch": 2}
    assert summary["platform.error"] == '"out of memory"' and summary["step"] == "2"
    assert [record.exit.exit_code for record in told if record.HasField("exit")] == [1]


def test_records_that_span_blocks_are_whole(config: Config) -> None:
    """Records of many sizes, so that the end of a block is met at every distance."""
    adapter, state = opened(WeightsAndBiases, config), {}
    experiment = adapter.create_experiment(job_facts(2), state)
    for size in [*range(1, 900, 7), 40_000, 100_000]:
        adapter.log_parameters(experiment, {f"p{size}": "x" * size}, state)
    path = wandb.file_of(experiment, config)
    found = {item.key: json.loads(item.value_json) for one in wandb.records(path) for item in one.config.update}
    assert {key: len(value) for key, value in found.items()} == {
        f"p{n}": n for n in [*range(1, 900, 7), 40_000, 100_000]
    }
    assert path.stat().st_size == state["length"] > 6 * wandb.BLOCK


def test_the_reader_reads_what_the_sdk_itself_writes(tmp_path: Path) -> None:
    """And the online way's calls of the SDK, made in its offline mode, say what they should."""
    way = Online(tmp_path, {}, "offline")
    sent = [{"_step": 5, "_timestamp": 123.5, "step": 1, "loss": float("nan")}, {"_step": 6, "step": 0, "loss": 2.5}]
    way.rows("a-project", "job-9-1760000000000", [*sent, *sent], {})
    sdk.teardown()
    (path,) = tmp_path.glob("wandb/offline-run-*/run-job-9-1760000000000.wandb")
    rows = [
        {item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
        for record in wandb.records(path)
        if record.HasField("history")
    ]
    assert [(row["_step"], row["step"], str(row["loss"])) for row in rows] == [(5, 1, "nan"), (6, 0, "2.5")]
    assert rows[0]["_timestamp"] == 123.5, "a repeated row was dropped, and the time is ours"


def test_wandbs_own_uploader_sends_exactly_what_the_file_holds(config: Config, tmp_path: Path) -> None:
    """`wandb sync`, the SDK's program, to a server of our own."""
    adapter, state, sent = opened(WeightsAndBiases, config), {}, reports(50)
    experiment = adapter.create_experiment(job_facts(3), state)
    adapter.log_metrics(experiment, sent, state)
    adapter.finalize(experiment, Ending("completed"), state)
    with wandb.online(tmp_path) as server:
        command = [sys.executable, "-m", "wandb", "sync", "--yes", str(wandb.file_of(experiment, config).parent)]
        done = subprocess.run(command, capture_output=True, text=True, env=quiet_environment() | server, timeout=60)
        assert "Finished syncing" in done.stderr, done.stderr
        found = comparable(wandb.read_online(experiment, server), signed_zero=False)
        run = wandb.servers[server["WANDB_BASE_URL"]].runs[experiment.rpartition("/")[2]]
    wanted = comparable(expected(sent, WeightsAndBiases.losses), signed_zero=False)
    assert found == {NAMES.encode(name): points for name, points in wanted.items()}
    assert (run["displayName"], run["groupName"], run["exit_code"]) == ("이름 'of' a (job)", "First", 0)


def test_a_run_that_goes_on_is_to_be_uploaded_again(config: Config) -> None:
    adapter, state = opened(WeightsAndBiases, config), {}
    experiment = adapter.create_experiment(job_facts(4), state)
    marker = wandb.file_of(experiment, config)
    marker = marker.with_name(f"{marker.name}.synced")
    marker.touch()
    adapter.log_metrics(experiment, reports(1), state)
    assert not marker.exists()


def test_what_was_delivered_and_is_gone_pauses_the_delivery(config: Config) -> None:
    adapter, state = opened(WeightsAndBiases, config), {}
    experiment = adapter.create_experiment(job_facts(5), state)
    adapter.log_metrics(experiment, reports(2), state)
    before = stored(state)
    wandb.file_of(experiment, config).write_bytes(b"")
    with pytest.raises(AdapterError, match="Deliver from the beginning") as raised:
        adapter.log_metrics(experiment, reports(2, 3), state)
    assert raised.value.permanent and state == before


def test_a_mode_that_nobody_knows_is_permanent(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="offline or online") as raised:
        opened(WeightsAndBiases, {"WANDB_MODE": "onlin", "WANDB_DIR": str(tmp_path)})
    assert raised.value.permanent


def test_the_link_leads_to_the_server(config: Config) -> None:
    online = {**config, "WANDB_MODE": "online", "WANDB_ENTITY": "team", "WANDB_BASE_URL": "http://127.0.0.1:1/"}
    adapter = WeightsAndBiases()
    adapter._config, adapter._mode = online, "online"
    assert adapter.get_experiment_url("p/job-1-2") == "http://127.0.0.1:1/team/p/runs/job-1-2"
    assert opened(WeightsAndBiases, config).get_experiment_url("p/job-1-2") == ""
