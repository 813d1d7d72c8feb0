"""The one loop, with a real process for each backend: what is told, in which order, and how often."""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from observability import ledger
from observability.facts import job_ending
from observability.lanes import Lane
from observability.models import Delivery, DeliveryState
from observability.tests.conftest import Configure
from observability.tests.faulty import calls, drain, end, points, write
from training.jobs.transition import job_locked, job_move
from training.models import JobState, TrainingJob
from training.tests.journal_entries import event, lines, metrics, named, tell

Told = Callable[..., TrainingJob]
Lanes = Callable[[str], Lane]
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def plain(tmp_path: Path, configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLS_DIR", str(tmp_path))
    configure("plain", places=(write(tmp_path, "plain"),))


def test_a_run_is_told_in_order_and_ended_once(tmp_path: Path, told_job: Told, lane: Lanes) -> None:
    job = told_job("plain", config={"epochs": 3})
    tell(job, metrics(1, 1, train__loss=0.5), lines("one", "two"), metrics(2, 1, train__loss=0.25))
    assert ledger.deliveries_open() == 1
    drain(lane("plain"))
    end(job)
    drain(lane("plain"))
    drain(lane("plain"))
    said = calls(tmp_path)[1:]
    assert [call[0] for call in said] == [
        *("create_experiment", "log_parameters", "log_metrics", "log_lines", "finalize")
    ]
    assert said[1][2] == {"epochs": 3} and said[-1][2:] == ["failed", {"train/loss": 0.25}, "it ended"]
    delivery = Delivery.objects.get(backend="plain")
    assert (delivery.state, delivery.seq, delivery.points) == (DeliveryState.FINISHED, 4, 2)
    assert delivery.url == f"http://tracking.example/experiment-{job.pk}" and delivery.adapter_state == {"calls": 1}
    assert job.observability_experiment_ids == {"plain": f"experiment-{job.pk}"}


def test_values_arrive_exactly(tmp_path: Path, told_job: Told, lane: Lanes) -> None:
    values = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 0.1, 1.7976931348623157e308]
    job = told_job("plain")
    tell(job, *[named(f"metrics/mAP50-95(B)/한글 {n}", value, step=9 - n) for n, value in enumerate(values)])
    ledger.deliveries_open()
    drain(lane("plain"))
    told = points(tmp_path)
    assert [repr(row[6][0]) for row in told] == [repr(value) for value in values]
    assert [row[2] for row in told] == [9 - n for n in range(7)]
    assert told[3][5] == ["metrics/mAP50-95(B)/한글 3"]


def test_batches_hold_no_more_points_than_the_backend_takes(tmp_path: Path, told_job: Told, lane: Lanes) -> None:
    job = told_job("plain")
    wide = {f"m{n}": float(n) for n in range(25)}
    tell(job, *[metrics(step, a=1.0, b=2.0, c=3.0) for step in range(7)], metrics(7, **wide))
    ledger.deliveries_open()
    drain(lane("plain"))
    sizes = [sum(len(row[6]) for row in call[2]) for call in calls(tmp_path) if call[0] == "log_metrics"]
    assert sizes == [9, 9, 3, 10, 10, 5]
    assert Delivery.objects.get(backend="plain").points == 46


def test_a_repeated_wake_up_sends_nothing_again(tmp_path: Path, told_job: Told, lane: Lanes) -> None:
    job = told_job("plain")
    tell(job, *[metrics(step, loss=1.0) for step in range(30)])
    for _ in range(3):
        ledger.deliveries_open()
        drain(lane("plain"))
    assert [row[0] for row in points(tmp_path)] == list(range(1, 31))


def test_many_jobs_get_turns_one_after_another(
    tmp_path: Path, told_job: Told, lane: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("observability.delivery.TURN_SECONDS", 0.0)
    jobs = [told_job("plain") for _ in range(3)]
    for job in jobs:
        tell(job, *[metrics(step, a=1.0, b=2.0) for step in range(10)])
    ledger.deliveries_open()
    monkeypatch.setattr("observability.delivery.TURN_SECONDS", 0.0001)
    drain(lane("plain"))
    order = [call[1] for call in calls(tmp_path) if call[0] == "log_metrics"]
    assert order == [f"experiment-{job.pk}" for job in jobs] * 2


def test_a_restarted_job_goes_on_in_the_same_experiment(tmp_path: Path, told_job: Told, lane: Lanes) -> None:
    job = told_job("plain")
    tell(job, metrics(1, loss=1.0))
    end(job)
    ledger.deliveries_open()
    drain(lane("plain"))
    with job_locked(job.pk) as locked:
        job_move(locked, JobState.QUEUED, "user")
    tell(job, metrics(2, loss=2.0))
    drain(lane("plain"))
    TrainingJob.objects.filter(pk=job.pk).update(state=JobState.RUNNING)
    end(job)
    drain(lane("plain"))
    said = [call[0] for call in calls(tmp_path)[1:]]
    assert said.count("create_experiment") == said.count("log_parameters") == 1 and said.count("finalize") == 2
    assert [row[2] for row in points(tmp_path)] == [1, 2]


def test_a_job_is_told_only_to_the_backends_that_were_chosen_for_it(told_job: Told) -> None:
    told, not_told = told_job("plain"), told_job()
    assert ledger.deliveries_open() == 2 and ledger.deliveries_open() == 0
    assert {one.backend for one in told.deliveries.all()} == {"database", "plain"}
    assert {one.backend for one in not_told.deliveries.all()} == {"database"}


def test_a_backfill_tells_everything_from_the_first_record(tmp_path: Path, told_job: Told, lane: Lanes) -> None:
    job = told_job()
    tell(job, *[metrics(step, loss=1.0) for step in range(5)])
    ledger.deliveries_open()
    drain(lane("plain"))
    assert points(tmp_path) == []
    assert ledger.backfill([job.pk], "plain") == 1 and ledger.backfill([job.pk], "plain") == 0
    drain(lane("plain"))
    assert [row[0] for row in points(tmp_path)] == [1, 2, 3, 4, 5]


def test_the_process_of_a_backend_has_its_own_variables_and_no_other(
    tmp_path: Path, told_job: Told, lane: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DATABASE_URL", "DJANGO_SECRET_KEY", "WANDB_API_KEY", "PLAIN_KEY"):
        monkeypatch.setenv(name, "sqlite:////nowhere")
    tell(told_job("plain"), metrics(1, loss=1.0))
    ledger.deliveries_open()
    drain(lane("plain"))
    seen = set(calls(tmp_path)[0][1])
    assert "PLAIN_KEY" in seen and "PATH" in seen and "CALLS_DIR" in seen
    assert not seen & {"DATABASE_URL", "DJANGO_SECRET_KEY", "WANDB_API_KEY", "DATA_DIR", "DJANGO_SETTINGS_MODULE"}
    assert seen <= {*os.environ, "LC_CTYPE"}


def test_the_keys_of_a_backend_are_hidden_from_other_processes_of_its_user(
    tmp_path: Path, told_job: Told, lane: Lanes, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can't be looked into, and has its keys only since then: none is in what it was started with."""
    monkeypatch.setenv("HIDDEN_KEY", "very-secret")
    tell_pid = "import ctypes; self.note('seen', os.getpid(), ctypes.CDLL(None).prctl(3), os.environ['HIDDEN_KEY'])"
    configure("hidden", places=(write(tmp_path, "hidden", tell_pid),))
    tell(told_job("hidden"), metrics(1, loss=1.0))
    ledger.deliveries_open()
    drain(lane("hidden"))
    _, process_id, dumpable, key = next(call for call in calls(tmp_path, "hidden") if call[0] == "seen")
    assert (dumpable, key) == (0, "very-secret")
    if os.getuid() == 0:  # nobody else may read it now
        started_with = Path(f"/proc/{process_id}/environ").read_bytes()
        assert b"PATH=" in started_with and b"very-secret" not in started_with


def test_lines_and_points_move_apart_when_one_of_them_fails(
    tmp_path: Path, told_job: Told, lane: Lanes, configure: Configure
) -> None:
    trouble = "if call == 'log_lines' and not Path(self.file.parent, 'ok').exists(): raise RuntimeError('no lines')"
    configure("fussy", places=(write(tmp_path, "fussy", trouble),))
    job = told_job("fussy")
    tell(job, metrics(1, loss=1.0), lines("a line"), metrics(2, loss=2.0))
    ledger.deliveries_open()
    lane("fussy").serve()
    delivery = Delivery.objects.get(backend="fussy")
    assert (delivery.seq, delivery.metrics_seq, delivery.lines_seq, delivery.state) == (0, 3, 0, "waiting")
    (tmp_path / "ok").touch()
    ledger.retry(Delivery.objects.all())
    drain(lane("fussy"))
    assert [row[0] for row in points(tmp_path, "fussy")] == [1, 3]
    assert [call[2] for call in calls(tmp_path, "fussy") if call[0] == "log_lines"] == [[[2, "a line"]]]


def test_a_lost_lease_stops_the_send_before_the_cursor_moves(tmp_path: Path, told_job: Told, lane: Lanes) -> None:
    tell(told_job("plain"), metrics(1, loss=1.0))
    ledger.deliveries_open()
    delivery = ledger.claim("plain")
    assert delivery is not None and ledger.claim("plain") is None
    Delivery.objects.filter(pk=delivery.pk).update(lease_token="another")
    with pytest.raises(ledger.LeaseLost):
        ledger.move(delivery, seq=1)
    assert Delivery.objects.get(pk=delivery.pk).seq == 0


def test_a_checkpoint_is_linked(tmp_path: Path, lane: Lanes, attempt: Any) -> None:
    from training.models import Checkpoint

    job = attempt.job
    TrainingJob.objects.filter(pk=job.pk).update(observability_backends=["plain"])
    Checkpoint.objects.create(job=job, attempt=attempt, kind="best", epoch=2, key="k", size=7, sha256="a" * 64)
    tell(
        job,
        event(type="checkpoint", kind="best", epoch=2, size=7),
        event(type="checkpoint", kind="best", epoch=1, size=6),
    )
    ledger.deliveries_open()
    drain(lane("plain"))
    (told,) = [call for call in calls(tmp_path) if call[0] == "log_artifact"]
    assert told[2] == "best" and "/checkpoints/" in told[3] and told[4]["sha256"] == "a" * 64


def test_the_end_is_told_with_its_own_time(told_job: Told) -> None:
    job = told_job("plain")
    end(job)
    job.refresh_from_db()
    assert job.ended_at is not None and job_ending(job).time == job.ended_at.timestamp()
