"""Runs from a real MLflow server: read point by point, sent on to MLflow again, and not taken back from there."""

from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from observability import ledger
from observability.adapters.mlflow import NAMES as MAPPING
from observability.lanes import Lane
from observability.models import Delivery
from observability.tests.backends import mlflow
from observability.tests.conftest import Configure
from observability.tests.faulty import end
from observability.tests.imported import TIME, Points, events_of, exact, job_of, only, points_of, run
from training.models import TrainingJob
from training.tests.journal_entries import named, tell

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(300)]
NAMES = ("train/box_loss", "metrics/mAP50-95", "손실 훈련", "lr.pg0")
LARGEST = 1.7976931348623157e308  # what MLflow holds of infinity


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow.backend(tmp_path_factory.mktemp("mlflow")) as variables:
        yield variables["MLFLOW_TRACKING_URI"]


@pytest.fixture
def client(address: str, cast: SimpleNamespace) -> MlflowClient:
    return MlflowClient(address)


def recorded(client: MlflowClient, experiment: str, points: Points, status: str = "FINISHED") -> str:
    """A run that MLflow's own client has recorded."""
    found = client.get_experiment_by_name(experiment)
    number = found.experiment_id if found else client.create_experiment(experiment)
    made = client.create_run(number, round(TIME * 1000) - 5000, run_name="한 번").info.run_id
    rows = [
        Metric(name, value, round(time * 1000), step) for name, told in points.items() for step, time, value in told
    ]
    for at in range(0, len(rows), 1000):
        client.log_batch(made, rows[at : at + 1000])
    client.log_batch(made, params=[Param("lr", "0.1"), Param("설정", "x" * 500)], tags=[RunTag("team", "vision")])
    if status != "RUNNING":
        client.set_terminated(made, status, round(TIME * 1000) + 100_000)
    return made


def series(steps: int, names: tuple[str, ...] = NAMES) -> Points:
    values = (0.5, float("nan"), 0.1, 1e-300, -2.5e10, 3.0)
    return {
        name: [(step, TIME + step * 0.25, values[(step + at) % len(values)]) for step in range(steps)]
        for at, name in enumerate(names)
    }


def test_a_run_arrives_point_by_point(client: MlflowClient, address: str) -> None:
    points = series(60)
    made = recorded(client, "Old bottles", points)
    told = run("mlflow", "--uri", address, "--of", "Old bottles")
    job = job_of(told)
    assert exact(points_of(job)) == exact(points) and only(told)["records"] == 60  # one report for all of a moment
    assert (job.name, job.experiment.project.name, job.state) == ("한 번", "Old bottles", "completed")
    assert job.config == {"lr": "0.1", "설정": "x" * 500} and job.imported.run == made
    assert (job.started_at.timestamp(), job.ended_at.timestamp()) == (TIME - 5, TIME + 100)
    assert events_of(job)[0]["tags"]["team"] == "vision" and made in job.imported.address


def test_the_end_is_what_it_was(client: MlflowClient, address: str) -> None:
    states = {}
    for status in ("FINISHED", "FAILED", "KILLED", "RUNNING"):
        states[recorded(client, "Ends", series(2), status)] = status
    told = {states[one["run"]]: one for one in run("mlflow", "--uri", address, "--of", "Ends")["runs"]}
    jobs = {status: TrainingJob.objects.get(pk=one["job"]) for status, one in told.items() if one["job"]}
    assert {status: job.state for status, job in jobs.items()} == {
        "FINISHED": "completed",
        "FAILED": "failed",
        "KILLED": "cancelled",
    }
    assert told["RUNNING"]["what"] == "skipped" and "--unfinished" in told["RUNNING"]["reason"]
    running = told["RUNNING"]["run"]
    assert job_of(run("mlflow", "--uri", address, "--run", running, "--unfinished")).state == "cancelled"


def test_files_are_linked_and_stay_where_they_are(client: MlflowClient, address: str, tmp_path: Path) -> None:
    made = recorded(client, "Files", series(1))
    (tmp_path / "가중치.pt").write_bytes(b"weights")
    client.log_artifact(made, str(tmp_path / "가중치.pt"), "weights")
    event = events_of(job_of(run("mlflow", "--uri", address, "--run", made)))[0]
    (file,) = event["artifacts"]
    assert (file["name"], file["size"]) == ("weights/가중치.pt", 7) and made in file["address"]
    assert "1 file stays there" in event["text"]


def test_infinity_is_what_mlflow_holds_of_it(client: MlflowClient, address: str) -> None:
    points = {"loss": [(1, TIME, float("inf")), (2, TIME + 1, float("-inf"))]}
    job = job_of(run("mlflow", "--uri", address, "--run", recorded(client, "Infinite", points)))
    assert points_of(job) == {"loss": [(1, TIME, LARGEST), (2, TIME + 1, -LARGEST)]}


def test_several_values_of_one_moment_all_arrive(client: MlflowClient, address: str) -> None:
    points = {"loss": [(1, TIME, 1.0), (1, TIME, 2.0), (1, TIME, 3.0)], "acc": [(1, TIME, 0.5)]}
    told = run("mlflow", "--uri", address, "--run", recorded(client, "Same", points))
    assert points_of(job_of(told)) == points and only(told)["records"] == 3


def test_many_points_come_in_pages(client: MlflowClient, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("observability.imports.sources.mlflow.PAGE", 700)
    points = series(3000, ("loss",))
    assert exact(
        points_of(job_of(run("mlflow", "--uri", address, "--run", recorded(client, "Many", points))))
    ) == exact(points)


def test_an_imported_run_is_backfilled_into_mlflow_and_not_taken_back(
    client: MlflowClient,
    address: str,
    configure: Configure,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    configure("mlflow")
    points = series(40)
    job = job_of(run("mlflow", "--run", recorded(client, "There and back", points)))
    call_command("backfill_observability", "--backend", "mlflow", "--job", str(job.pk), stdout=StringIO())
    delivery = Delivery.objects.get(job=job, backend="mlflow")
    found = mlflow.read(delivery.experiment_id, {"MLFLOW_TRACKING_URI": address})
    assert exact({MAPPING.decode(name): rows for name, rows in found.items()}) == exact(points)
    assert client.get_run(delivery.experiment_id).info.status == "FINISHED"
    told = only(run("mlflow", "--run", delivery.experiment_id))
    assert told["what"] == "skipped" and told["job"] == job.pk and "sent there by this platform" in told["reason"]


def test_runs_that_another_platform_sent_have_their_own_names_again(
    client: MlflowClient,
    address: str,
    configure: Configure,
    told_job: Callable[..., TrainingJob],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    configure("mlflow")
    points = series(5, ("metrics/mAP50-95(B)", "손" * 200))
    points = {name: [row for row in rows if row[2] == row[2]] for name, rows in points.items()}
    theirs = told_job("mlflow", config={"a(b)": "1"})
    tell(theirs, *(named(name, value, step) for name, rows in points.items() for step, _, value in rows))
    end(theirs)
    call_command("backfill_observability", "--backend", "mlflow", "--job", str(theirs.pk), stdout=StringIO())
    sent = Delivery.objects.get(job=theirs, backend="mlflow").experiment_id
    Delivery.objects.all().delete()  # as on a platform that has never heard of it
    job = job_of(run("mlflow", "--run", sent))
    assert {name: {value for *_, value in rows} for name, rows in points_of(job).items()} == {
        name: {value for *_, value in rows} for name, rows in points.items()
    }
    assert job.config == {"a(b)": "1"} and job.trainer == theirs.trainer and job.model_name == theirs.model_name


def test_backends_that_are_named_hear_of_an_imported_job(
    client: MlflowClient,
    address: str,
    configure: Configure,
    lane: Callable[[str], Lane],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    configure("mlflow")
    job = job_of(run("mlflow", "--run", recorded(client, "On", series(3)), "--backends", "mlflow"))
    assert job.observability_backends == ["database", "mlflow"]
    ledger.deliveries_open()
    while lane("mlflow").serve():
        continue
    assert Delivery.objects.get(job=job, backend="mlflow").points == 12


def test_what_there_is_not_is_said(client: MlflowClient, address: str) -> None:
    with pytest.raises(CommandError, match="no experiment Nothing; there are: "):
        run("mlflow", "--uri", address, "--of", "Nothing")
    told = only(run("mlflow", "--uri", address, "--run", "0" * 32))
    assert told["what"] == "failed" and "not found" in told["reason"]
