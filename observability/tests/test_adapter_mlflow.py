"""MLflow's adapter, against a real tracking server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from observability.adapters.mlflow import NAMES, Mlflow
from observability.base import AdapterError, Ending, Report
from observability.standins.loopback import loopback
from observability.tests.adapter_cast import TIME, Config, job_facts, opened, reports, stored
from observability.tests.backends import mlflow
from observability.tests.backends.processes import free_port

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture(scope="module")
def config(folder: Path) -> Iterator[Config]:
    with mlflow.backend(folder) as variables:
        yield variables


def point(value: float, step: int = 1, time: float = TIME) -> Report:
    return Report(1, 1, time, step, None, ("loss",), (value,))


def test_equal_points_merge_and_others_at_the_same_step_and_time_do_not(config: Config, folder: Path) -> None:
    """As the server's database holds them: its primary key has the value, and whether it is NaN."""
    adapter, state = opened(Mlflow, config), {}
    run = adapter.create_experiment(job_facts(1), state)
    for _ in range(2):
        adapter.log_metrics(run, [point(1.0), point(2.0), point(1.0), point(float("nan")), point(0.0)], state)
        adapter.log_metrics(run, [point(-0.0), point(1.0, step=2), point(1.0, time=TIME + 1)], state)
    found = mlflow.rows(folder / "mlflow.sqlite3", run)
    assert sorted((step, value, is_nan) for _, step, value, is_nan in found) == [
        (1, 0.0, False),
        (1, 0.0, True),
        (1, 1.0, False),
        (1, 1.0, False),
        (1, 2.0, False),
        (2, 1.0, False),
    ]


def test_the_run_tells_of_the_job(config: Config) -> None:
    from mlflow import MlflowClient

    adapter, state = opened(Mlflow, config), {}
    run_id = adapter.create_experiment(job_facts(2), state)
    adapter.log_parameters(run_id, {"lr (%)": 0.1, "long": "x" * 7000}, state)
    adapter.log_metrics(run_id, reports(1), state)
    adapter.log_artifact(run_id, "best", "http://127.0.0.1/best.pt", {"sha256": "ab"}, state)
    run = MlflowClient(config["MLFLOW_TRACKING_URI"]).get_run(run_id)
    assert MlflowClient().get_experiment(run.info.experiment_id).name == "An%2FOrganization/%2E."
    assert (run.info.run_name, run.info.start_time) == ("이름 'of' a (job)", round((TIME + 0.123456) * 1000))
    tags = run.data.tags
    assert tags["platform.job_id"] == "2" and tags["platform.dataset_version_hash"] == "ab12"
    assert tags["platform.url"] == "http://127.0.0.1:8000/jobs/2/" and tags["mlflow.user"] == "owner"
    assert tags["platform.artifact.best"] == '{"url": "http://127.0.0.1/best.pt", "sha256": "ab"}'
    long_name = "x/" + "(y)" * 66
    assert tags[f"platform.name.{NAMES.digest(long_name)}"] == long_name
    assert run.data.params["lr :28:25:29"] == "0.1"
    assert len(run.data.params["long"]) == 6000 and run.data.params["long"].endswith("… (cut)")
    link = adapter.get_experiment_url(run_id)
    assert link == f"{config['MLFLOW_TRACKING_URI']}/#/experiments/{run.info.experiment_id}/runs/{run_id}"


@pytest.mark.parametrize(
    ("status", "shown"), [("completed", "FINISHED"), ("failed", "FAILED"), ("cancelled", "KILLED")]
)
def test_the_end_is_shown_and_a_new_attempt_runs_again(config: Config, status: str, shown: str) -> None:
    from mlflow import MlflowClient

    adapter, state = opened(Mlflow, config), {}
    client = MlflowClient(config["MLFLOW_TRACKING_URI"])
    run = adapter.create_experiment(job_facts(3 + len(status)), state)
    adapter.finalize(run, Ending(status, {}, "the reason", TIME + 60.25), state)
    ended = client.get_run(run)
    assert ended.info.status == shown and ended.info.end_time == round((TIME + 60.25) * 1000)
    assert ended.data.tags["platform.error"] == "the reason"
    before = stored(state)
    adapter.log_metrics(run, [point(1.0)], state)
    assert client.get_run(run).info.status == "RUNNING"
    adapter.log_metrics(run, [point(1.0)], before)
    assert state == before == {}


def test_a_history_longer_than_a_page_is_read_whole(config: Config) -> None:
    adapter, state = opened(Mlflow, config), {}
    run = adapter.create_experiment(job_facts(20), state)
    sent = [point(float(step), step, TIME + step) for step in range(2500)]
    for start in range(0, 2500, 1000):
        adapter.log_metrics(run, sent[start : start + 1000], state)
    assert [step for step, _, _ in adapter.get_metrics(run, ["loss"])["loss"]] == list(range(2500))


def test_a_server_that_is_away_is_temporary(config: Config) -> None:
    adapter = opened(Mlflow, {"MLFLOW_TRACKING_URI": f"http://name:a-secret@127.0.0.1:{free_port()}"})
    with pytest.raises(AdapterError) as raised:
        adapter.log_metrics("0" * 32, [point(1.0)], {})
    assert not raised.value.permanent and "a-secret" not in str(raised.value)


def test_an_unknown_run_and_a_deleted_experiment_are_permanent(config: Config) -> None:
    from mlflow import MlflowClient

    adapter = opened(Mlflow, config)
    with pytest.raises(AdapterError) as raised:
        adapter.log_metrics("0" * 32, [point(1.0)], {})
    assert raised.value.permanent
    adapter.create_experiment(job_facts(21, project="Gone"), {})
    client = MlflowClient(config["MLFLOW_TRACKING_URI"])
    found = client.get_experiment_by_name("An%2FOrganization/Gone")
    assert found is not None
    client.delete_experiment(found.experiment_id)
    with pytest.raises(AdapterError, match="restore it") as raised:
        adapter.create_experiment(job_facts(22, project="Gone"), {})
    assert raised.value.permanent


@pytest.mark.parametrize(("status", "permanent"), [(401, True), (403, True), (429, False), (500, False), (503, False)])
def test_refusals_tell_permanent_from_temporary_and_no_secret(
    status: int, permanent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "")
    with loopback(lambda path, headers, body: (status, b"you sent a-secret, go away")) as address:
        secret = {"MLFLOW_TRACKING_USERNAME": "name", "MLFLOW_TRACKING_PASSWORD": "a-secret"}
        adapter = opened(Mlflow, {"MLFLOW_TRACKING_URI": address, **secret})
        with pytest.raises(AdapterError) as raised:
            adapter.log_metrics("0" * 32, [point(1.0)], {})
    assert raised.value.permanent == permanent
    assert "a-secret" not in str(raised.value) and raised.value.__cause__ is None


@pytest.mark.parametrize(("status", "batch"), [(400, True), (413, True), (404, False), (503, False)])
def test_a_batch_that_is_refused_for_what_it_holds_is_told_from_other_refusals(status: int, batch: bool) -> None:
    with loopback(lambda path, headers, body: (status, b"<html>from a proxy</html>")) as address:
        adapter = opened(Mlflow, {"MLFLOW_TRACKING_URI": address})
        with pytest.raises(AdapterError) as raised:
            adapter.log_metrics("0" * 32, [point(1.0)], {})
        assert raised.value.batch == batch
        with pytest.raises(AdapterError) as raised:
            adapter.log_parameters("0" * 32, {"lr": 1}, {})
        assert not raised.value.batch
