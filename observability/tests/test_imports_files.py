"""Runs from files: TensorBoard's event files, written by its own writer, and Ultralytics' results.csv."""

import os
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError
from django.test import Client
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.scalar.metadata import create_summary_metadata
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util.tensor_util import make_tensor_proto

from observability import ledger
from observability.imports import importing
from observability.tests.imported import (
    NAMES,
    TIME,
    VALUES,
    Points,
    events_of,
    exact,
    job_of,
    only,
    points_of,
    run,
)
from training.jobs import imports
from training.jobs.services import job_restart, job_start
from training.jobs.transition import NotAllowed
from training.models import Experiment, ImportedRun, JobState, MetricSummary, Role, TrainingJob
from training.tests.conftest import person

pytestmark = pytest.mark.django_db


def float32(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def scalar(name: str, step: int, time: float, value: float) -> Event:
    return Event(step=step, wall_time=time, summary=Summary(value=[Summary.Value(tag=name, simple_value=value)]))


def written(folder: Path, events: list[Event], suffix: str = "") -> Path:
    """The event file that TensorBoard's own writer has made of them."""
    writer = EventFileWriter(str(folder), filename_suffix=suffix)
    for event in events:
        writer.add_event(event)
    writer.close()
    return max(folder.glob(f"*{suffix}"), key=lambda path: path.stat().st_mtime_ns)


def series(steps: int) -> tuple[list[Event], Points]:
    """Events of every name at each step, and the points that they hold; each event has a time of its own."""
    events, points = [], {name: [] for name in NAMES}
    for step in range(steps):
        for at, name in enumerate(NAMES):
            value, time = VALUES[(step + at) % len(VALUES)], TIME + step + at / 100
            events.append(scalar(name, step, time, value))
            points[name].append((step, time, float32(value)))
    return events, points


@pytest.fixture
def logs(cast: SimpleNamespace, tmp_path: Path) -> Path:
    return tmp_path / "runs"


def test_event_files_arrive_point_by_point(logs: Path) -> None:
    events, points = series(40)
    written(logs / "one", events)
    job = job_of(run("tensorboard", logs))
    assert exact(points_of(job)) == exact(points)
    assert (job.name, job.experiment.project.name, job.state) == ("one", "runs", "completed")
    assert job.started_at.timestamp() == TIME and job.ended_at.timestamp() == pytest.approx(TIME + 39.04, abs=1e-3)
    assert (job.imported.source, job.imported.run) == ("tensorboard", str(logs / "one"))


def test_an_imported_job_looks_like_any_other(logs: Path, cast: SimpleNamespace) -> None:
    written(logs / "one", series(5)[0])
    job = job_of(run("tensorboard", logs, "--project", "Old", "--experiment", "Before"))
    assert str(job.experiment) == "Before" and job.experiment.project.name == "Old" and job.created_by == cast.owner
    attempt = job.attempts.get()
    assert (attempt.number, attempt.outcome, attempt.ended_at) == (1, "completed", job.ended_at)
    assert [event["type"] for event in events_of(job)] == ["imported", "state"]
    summary = MetricSummary.objects.get(job=job, name="lr")
    assert (summary.count, summary.nonfinite) == (5, 1) and job.observability_backends == ["database"]
    client = Client()
    client.force_login(cast.owner)
    page = client.get(f"/jobs/{job.pk}/").content.decode()
    assert "Imported from TensorBoard" in page and "Completed" in page and "Restart" not in page
    told = client.get(f"/api/v1/training/jobs/{job.pk}/metrics", {"name": "손실/훈련", "full": "true"}).json()
    assert told["blocks"][0]["names"] == ["손실/훈련"]
    assert f"/jobs/{job.pk}/" in client.get("/jobs/").content.decode()


def test_every_folder_with_event_files_is_a_run(logs: Path) -> None:
    for name in ("a", "b/c", "b/c/d"):
        written(logs / name, series(2)[0])
    (logs / "empty").mkdir()
    assert [one["name"] for one in run("tensorboard", logs)["runs"]] == ["a", "b/c", "b/c/d"]


def test_several_files_of_one_run_are_one_series(logs: Path) -> None:
    events, points = series(20)
    written(logs, events[:50], ".first")
    written(logs, events[50:], ".second")
    assert exact(points_of(job_of(run("tensorboard", logs)))) == exact(points)


def test_scalars_of_the_newer_form_and_hyperparameters_are_read(logs: Path) -> None:
    settings = hparams_pb({"lr": 0.1, "flag": True, "model": "작은"}, start_time_secs=TIME - 60)
    first = Summary.Value(tag="loss", tensor=make_tensor_proto(0.1, dtype="float64"))
    first.metadata.CopyFrom(create_summary_metadata("", ""))  # a tag tells what it is only once
    later = Summary.Value(tag="loss", tensor=make_tensor_proto(0.2, dtype="float64"))
    text = Summary.Value(tag="note", tensor=make_tensor_proto("words"))
    values = [first, later, text]
    events = [Event(wall_time=TIME + at, step=at, summary=Summary(value=[one])) for at, one in enumerate(values)]
    written(logs / "new", [Event(wall_time=TIME, summary=settings), *events])
    job = job_of(run("tensorboard", logs))
    assert points_of(job) == {"loss": [(0, TIME, 0.1), (1, TIME + 1, 0.2)]}
    assert job.config == {"lr": 0.1, "flag": True, "model": "작은"} and job.started_at.timestamp() == TIME - 60


def test_a_half_written_file_gives_what_it_has(logs: Path) -> None:
    events, points = series(10)
    path = written(logs / "cut", events)
    os.truncate(path, path.stat().st_size - 7)
    told = run("tensorboard", logs)
    assert "bytes are damaged or half-written" in only(told)["troubles"][0]
    last = {NAMES[-1]: points[NAMES[-1]][:-1]}
    assert exact(points_of(job_of(told))) == exact(points | last)


def test_a_damaged_record_costs_itself_alone(logs: Path) -> None:
    path = written(logs / "bad", [scalar("loss", step, TIME + step, step) for step in range(10)])
    content = bytearray(path.read_bytes())
    size = 8 + 4 + int.from_bytes(content[:8], "little") + 4  # the first record is the file's version
    length = 8 + 4 + int.from_bytes(content[size : size + 8], "little") + 4
    content[size + length + 13] ^= 0xFF  # inside the data of the second point
    path.write_bytes(content)
    told = run("tensorboard", logs)
    assert f"the record at byte {size + length} is damaged" in only(told)["troubles"][0]
    assert [step for step, _, _ in points_of(job_of(told))["loss"]] == [0, 2, 3, 4, 5, 6, 7, 8, 9]


def test_a_file_that_is_none_is_told_and_the_others_are_imported(logs: Path) -> None:
    written(logs / "good", series(3)[0])
    (logs / "junk").mkdir(parents=True)
    (logs / "junk" / "events.out.tfevents.1.x").write_bytes(b"not an event file at all")
    told = run("tensorboard", logs)
    assert told["counts"] == {"imported": 1, "skipped": 1}
    assert "half-written" in told["runs"][1]["troubles"][0] and told["runs"][1]["reason"] == "holds no scalars"


def test_importing_again_passes_over_what_is_there(logs: Path) -> None:
    written(logs / "one", series(3)[0])
    job = job_of(run("tensorboard", logs))
    written(logs / "two", series(3)[0])
    told = run("tensorboard", logs)
    assert told["counts"] == {"skipped": 1, "imported": 1} and told["runs"][0]["job"] == job.pk
    assert TrainingJob.objects.count() == ImportedRun.objects.count() == 2


def test_an_interrupted_import_goes_on_where_it_stands(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events, points = series(30)
    written(logs / "one", events)
    monkeypatch.setattr(importing, "RECORDS", 40)
    add, calls = imports.import_add, []

    def interrupted(job: TrainingJob, reports: Any) -> None:
        calls.append(len(reports))
        if len(calls) == 3:
            raise KeyboardInterrupt
        add(job, reports)

    monkeypatch.setattr(importing, "import_add", interrupted)
    with pytest.raises(CommandError, match="Start again to go on"):
        run("tensorboard", logs)
    job = TrainingJob.objects.get()
    assert job.state == JobState.DRAFT and ledger.deliveries_open() == 0 and imports.import_reached(job) == 80
    monkeypatch.setattr(importing, "import_add", add)
    told = run("tensorboard", logs)
    assert told["counts"] == {"continued": 1} and exact(points_of(job_of(told))) == exact(points)


def test_the_same_reports_twice_are_stored_once(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when two imports of one run go on at the same time."""
    events, points = series(12)
    written(logs / "one", events)
    add = imports.import_add
    monkeypatch.setattr(importing, "import_add", lambda job, reports: [add(job, reports) for _ in range(2)])
    assert exact(points_of(job_of(run("tensorboard", logs)))) == exact(points)


def test_a_draft_of_an_import_can_not_be_started_nor_its_job_restarted(logs: Path, cast: SimpleNamespace) -> None:
    written(logs / "one", series(3)[0])
    job = job_of(run("tensorboard", logs))
    with pytest.raises(NotAllowed, match="imported"):
        job_restart(job, cast.owner)
    TrainingJob.objects.update(state=JobState.DRAFT)
    with pytest.raises(NotAllowed, match="imported"):
        job_start(job, cast.owner)


def test_a_dry_run_reads_and_changes_nothing(logs: Path) -> None:
    events, _ = series(4)
    written(logs / "one", events)
    told = only(run("tensorboard", logs, "--dry-run"))
    assert (told["what"], told["points"], told["job"]) == ("would_import", len(events), None)
    assert not TrainingJob.objects.exists() and not Experiment.objects.exclude(name="First").exists()


def test_who_may_not_make_jobs_may_not_import(logs: Path, cast: SimpleNamespace) -> None:
    written(logs / "one", series(1)[0])
    person("guest", cast.organization, Role.GUEST)
    for who, message in (("guest", "does not allow"), ("stranger", "does not allow"), ("nobody", "no user nobody")):
        with pytest.raises(CommandError, match=message):
            run("tensorboard", logs, "--user", who)
    with pytest.raises(CommandError, match="configured are database"):
        run("tensorboard", logs, "--backends", "comet")
    with pytest.raises(CommandError, match="is not a folder"):
        run("tensorboard", logs / "nowhere")
    assert not TrainingJob.objects.exists()


RESULTS = """\
                  epoch,                   time,         train/box_loss,    metrics/mAP50-95(B),                 lr/pg0
                      1,                12.5125,                1.09351,                    nan,               0.000238
                      2,                24.0521,                    inf,                0.25115,                0.00046
                      3,                36.5000,                0.98004,                0.31,                     5e-05
"""
ARGS = "task: detect\nmodel: yolo11n.pt\nepochs: 100\nlr0: 0.01\nname: train3\nproject: null\nfreeze: null\n"


def results(folder: Path, text: str = RESULTS, arguments: str | None = ARGS) -> Path:
    folder.mkdir(parents=True)
    (folder / "results.csv").write_text(text)
    os.utime(folder / "results.csv", (TIME, TIME))
    if arguments is not None:
        (folder / "args.yaml").write_text(arguments)
    return folder


def test_results_csv_arrives_point_by_point(logs: Path) -> None:
    results(logs / "detect" / "train3")
    job = job_of(run("ultralytics", logs))
    times = [TIME - 36.5 + passed for passed in (12.5125, 24.0521, 36.5)]
    columns = {
        "train/box_loss": (1.09351, float("inf"), 0.98004),
        "metrics/mAP50-95(B)": (float("nan"), 0.25115, 0.31),
        "lr/pg0": (0.000238, 0.00046, 0.00005),
    }
    wanted = {name: list(zip((1, 2, 3), times, values, strict=True)) for name, values in columns.items()}
    assert exact(points_of(job)) == exact(wanted)
    assert (job.name, job.trainer, job.task_type, job.model_name) == (
        "train3",
        "ultralytics",
        "detection",
        "yolo11n.pt",
    )
    assert job.config["lr0"] == 0.01 and "freeze" not in job.config and job.attempts.get().total_epochs == 100
    assert job.state == "completed" and "epoch 3 of 100" in job.state_reason
    assert (job.started_at.timestamp(), job.ended_at.timestamp()) == (TIME - 36.5, TIME)
    best = MetricSummary.objects.get(job=job, name="metrics/mAP50-95(B)")
    assert (best.best, best.best_epoch) == (0.31, 3)


def test_bad_lines_are_told_and_left_out(logs: Path) -> None:
    text = "epoch,time,loss,acc\n1,1,0.5,0.1\n2,2,oops,0.2\nx,3,0.3,0.3\n4,4,0.4\n5,5,,0.5\n6,6,0.6,0.6\n7,7,0.7,0."
    results(logs / "bad", text)
    told = run("ultralytics", logs)
    points = points_of(job_of(told))
    assert {name: [(step, value) for step, _, value in rows] for name, rows in points.items()} == {
        "loss": [(1, 0.5), (6, 0.6)],
        "acc": [(1, 0.1), (2, 0.2), (5, 0.5), (6, 0.6)],
    }
    places = [text.split(":")[0] for text in only(told)["troubles"]]
    assert places == [*(f"results.csv, line {at}" for at in (3, 4, 5)), "results.csv"]


def test_a_resumed_run_goes_on_in_time(logs: Path) -> None:
    results(logs / "resumed", "epoch,time,loss\n1,10,1\n2,20,2\n3,4,3\n4,9,4\n")
    times = [time for _, time, _ in points_of(job_of(run("ultralytics", logs)))["loss"]]
    assert times == [TIME - 19, TIME - 9, TIME - 5, TIME]


def test_a_run_without_settings_or_times_is_imported_and_says_so(logs: Path) -> None:
    results(logs / "old", "epoch,loss\n0,1\n1,2\n", None)
    results(logs / "torn", arguments="a: [1, 2")
    results(logs / "none", "nothing,here\n1,2\n")
    none, old, torn = run("ultralytics", logs)["runs"]
    assert len(old["troubles"]) == 2 and "one second apart" in old["troubles"][1]
    assert "args.yaml can't be read" in torn["troubles"][0] and torn["what"] == "imported"
    assert none["what"] == "failed" and "no column `epoch`" in none["reason"]
