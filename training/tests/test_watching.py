"""NaN watch and early stopping: what is found, when a run is ended for it, and that order and repeats do not matter."""

import re
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from training.alerts.follow import job_watch, jobs_watch
from training.execution.finalize import job_finalize
from training.jobs.attempts import (
    Ending,
    attempt_cancelled_said,
    attempt_failed,
    attempt_heartbeat,
    attempt_started,
    attempt_stopped_early,
    job_claim,
)
from training.jobs.described import job_describe
from training.jobs.document import document_read
from training.jobs.services import job_cancel, job_create, job_restart
from training.jobs.stopping import asked_to_stop
from training.jobs.watch_options import WatchOptions
from training.journal.payloads import Metrics
from training.journal.writer import Append, commit
from training.models import ErrorType, JobAttempt, JobState, JobWatch, JournalRecord, RecordKind, TrainingJob, Worker
from training.tests.conftest import job_make
from training.tests.journal_entries import metrics, named, tell
from training.tests.rest_program import Program
from training.tests.test_execution import scripted  # noqa: F401

pytestmark = pytest.mark.django_db
PRIMARY = "metrics/mAP50-95(B)"
NAN = float("nan")


@pytest.fixture
def running(job: TrainingJob, attempt: JobAttempt) -> TrainingJob:
    attempt_started(job.pk, 1, {"total_epochs": 100})
    job.refresh_from_db()
    return job


def asked(job: TrainingJob, **options: Any) -> None:
    TrainingJob.objects.filter(pk=job.pk).update(**options)


def scores(*values: float, first: int = 1) -> list[Metrics]:
    """One value of the primary metric for each epoch."""
    made = []
    for epoch, value in enumerate(values, first):
        report = named(PRIMARY, value)
        made.append(Metrics(None, report.time, epoch * 10, epoch, report.names, report.values))
    return made


def now(job: TrainingJob) -> TrainingJob:
    job_watch(job.pk)
    job.refresh_from_db()
    return job


def events(job: TrainingJob, kind: str) -> int:
    records = JournalRecord.objects.filter(job=job, kind=RecordKind.EVENT).values_list("values", flat=True)
    return sum(f'"type":"{kind}"'.encode() in bytes(values) for values in records)


def test_the_first_nan_is_told_once_and_shown(running: TrainingJob, cast: SimpleNamespace, client: Client) -> None:
    tell(running, metrics(1, 1, train__loss=1.0), metrics(7, 2, train__loss=NAN), metrics(8, 2, train__loss=NAN))
    for _ in range(2):
        assert now(running).state == JobState.RUNNING
    assert events(running, "nan") == 1
    client.force_login(cast.owner)
    page = client.get(reverse("job-page", args=[running.pk])).content.decode()
    assert "train/loss became NaN</strong> at epoch 2, step 7" in page


def test_a_name_with_html_is_inert(running: TrainingJob, cast: SimpleNamespace, client: Client) -> None:
    tell(running, named("<script>x</script>", NAN))
    now(running)
    client.force_login(cast.owner)
    page = client.get(reverse("job-page", args=[running.pk])).content.decode()
    assert "&lt;script&gt;x&lt;/script&gt; became NaN" in page and "<script>x" not in page


@pytest.mark.parametrize(
    ("patterns", "name", "found"),
    [("", "system/gpu.0.power", False), ("", "lr", True), ("val/*, train/*", "lr", False), ("lr", "lr", True)],
)
def test_only_watched_metrics_have_to_be_numbers(running: TrainingJob, patterns: str, name: str, found: bool) -> None:
    asked(running, stop_at_nan=True, watched_metrics=patterns)
    tell(running, named(name, float("-inf")))
    assert (now(running).state == JobState.FAILED) is found


def test_a_run_that_is_to_end_at_a_nan_fails_with_its_cause(running: TrainingJob) -> None:
    asked(running, stop_at_nan=True)
    tell(running, metrics(3, 1, val__loss=NAN))
    assert now(running).state == JobState.FAILED and running.error_code == "not_finite"
    assert running.error_message == "val/loss became NaN at epoch 1, step 3."
    assert running.error_type == ErrorType.FRAMEWORK_ERROR
    told = commit([Append(running.pk, 1, [metrics(4, 1, val__loss=1.0)])])[0]
    assert told.error == "terminal"  # which ends the trainer


def test_a_job_that_went_on_by_a_person_is_judged_by_what_comes_then(
    running: TrainingJob, cast: SimpleNamespace, worker: Worker
) -> None:
    asked(running, stop_at_nan=True)
    tell(running, metrics(3, 1, val__loss=NAN))
    now(running)
    job_restart(running, cast.owner)
    worker.slots.update(attempt=None)
    assert job_claim(running.pk, worker)
    attempt_started(running.pk, 2, {})
    assert now(running).state == JobState.RUNNING
    assert JobWatch.objects.get().nan_seq is None
    tell(running, metrics(3, 1, val__loss=NAN))
    assert now(running).state == JobState.FAILED


@pytest.mark.parametrize(
    ("values", "stops"),
    [
        ([0.1, 0.2, 0.3, 0.3, 0.3], False),
        ([0.1, 0.2, 0.3, 0.3, 0.3, 0.3], True),
        ([0.1, 0.2, 0.3, 0.2, 0.2, 0.4], False),
        ([NAN, NAN, NAN, NAN], True),
        ([0.5, NAN, 0.4, NAN], True),
    ],
)
def test_patience_counts_epochs_without_a_better_metric(running: TrainingJob, values: list[float], stops: bool) -> None:
    asked(running, patience=3)
    tell(running, *scores(*values))
    assert (now(running).stop_attempt == 1) is stops and running.state == JobState.RUNNING
    assert events(running, "early_stop") == stops


def test_a_metric_that_is_to_fall_is_watched_the_other_way(cast: SimpleNamespace, worker: Worker) -> None:
    falling, rising = (job_make(cast, trainer="example", patience=2, attempt=1, state=JobState.RUNNING) for _ in "ab")
    for epoch in range(1, 6):
        tell(falling, metrics(epoch, epoch, train__loss=1 / epoch))
        tell(rising, metrics(epoch, epoch, train__loss=1.0 * epoch))
    assert now(falling).stop_attempt == 0 and now(rising).stop_attempt == 1


def test_late_and_repeated_points_change_nothing(running: TrainingJob) -> None:
    asked(running, patience=3)
    tell(running, *scores(0.5, 0.1), *scores(0.1, first=2), *scores(0.1, first=2), *scores(0.1, first=3))
    assert now(running).stop_attempt == 0  # five reports, but two epochs
    tell(running, *scores(0.9, first=2))  # it comes late, and is better
    assert now(running).stop_attempt == 0
    tell(running, *scores(0.1, first=4))
    assert now(running).stop_attempt == 0
    tell(running, *scores(0.1, first=5))
    assert now(running).stop_attempt == 1


def test_a_resumed_attempt_is_judged_by_the_points_that_count(running: TrainingJob, worker: Worker) -> None:
    asked(running, patience=3)
    tell(running, *scores(0.5, 0.4, 0.9))
    now(running)
    opened = {"worker": worker, "opened_at": running.created_at, "lease_until": running.created_at}
    JobAttempt.objects.create(job=running, number=2, resumed_epoch=2, resumed_step=20, **opened)
    asked(running, attempt=2)
    tell(running, *scores(0.3, first=3))
    assert now(running).stop_attempt == 0  # 0.9 of epoch 3 was replaced, 0.5 of epoch 1 was not
    tell(running, *scores(0.4, first=4))
    assert now(running).stop_attempt == 2


def early(job: TrainingJob) -> None:
    asked(job, patience=1)
    tell(job, *scores(0.5, 0.4))
    now(job)


def test_a_trainer_is_asked_like_for_a_cancel_and_counts_as_completed(
    running: TrainingJob, cast: SimpleNamespace, client: Client
) -> None:
    early(running)
    told, _ = attempt_heartbeat(running.pk, 1)
    assert asked_to_stop(told, 1) and not asked_to_stop(told, 2)
    assert commit([Append(running.pk, 1, [])])[0].cancel
    client.force_login(cast.owner)
    assert "Stopping early:" in client.get(reverse("job-page", args=[running.pk])).content.decode()
    attempt_cancelled_said(running.pk, 1, {"final_no": 0})
    job_finalize(running.pk, 1)
    running.refresh_from_db()
    assert running.state == JobState.COMPLETED
    assert running.state_reason == f"stopped early: {PRIMARY} has not got better for 1 epoch"


def test_a_trainer_that_had_to_be_ended_counts_as_completed_too(running: TrainingJob) -> None:
    assert not attempt_stopped_early(running.pk, 1)
    early(running)
    assert attempt_stopped_early(running.pk, 1) and job_finalize(running.pk, 1)
    running.refresh_from_db()
    assert running.state == JobState.COMPLETED


def test_a_cancel_and_a_failure_win_over_an_early_stop(
    running: TrainingJob, cast: SimpleNamespace, worker: Worker
) -> None:
    early(running)
    job_cancel(running, cast.owner)
    assert attempt_cancelled_said(running.pk, 1, {}).state == JobState.CANCELLING
    other = job_make(cast)
    worker.slots.update(attempt=None)
    assert job_claim(other.pk, worker)
    attempt_started(other.pk, 1, {})
    early(other)
    assert (
        attempt_failed(other.pk, 1, Ending(ErrorType.FRAMEWORK_ERROR, "it broke"), "trainer").state == JobState.FAILED
    )


def test_the_sweep_finds_jobs_that_have_news_and_no_others(running: TrainingJob) -> None:
    assert jobs_watch() == 1 and jobs_watch() == 0
    tell(running, metrics(1, 1, train__loss=NAN))
    assert jobs_watch() >= 1 and events(running, "nan") == 1


def test_the_options_are_in_document_rest_and_command(cast: SimpleNamespace, program: Program, capsys: Any) -> None:
    text = (
        "project: Bottles\ntrainer: example\nmodel: halving\nstop_at_nan: true\npatience: 4\nwatched_metrics: train/*\n"
    )
    wanted = WatchOptions(True, 4, "train/*")
    assert WatchOptions.of_job(job_describe(cast.owner, document_read(text))) == wanted
    body = {"experiment": cast.experiment.pk, "trainer": "example", "model_name": "halving"}
    made = program.post(
        "/api/v1/training/jobs", {**body, "stop_at_nan": True, "patience": 4, "watched_metrics": "train/*"}
    )
    assert made.status_code == 201 and made.json()["patience"] == 4 and made.json()["stop_at_nan"] is True
    copy = program.post(f"/api/v1/training/jobs/{made.json()['id']}/clone", {})
    assert WatchOptions.of_job(TrainingJob.objects.get(pk=copy.json()["id"])) == wanted
    told = ["--user", "owner", "--project", "Bottles", "--trainer", "example", "--model", "halving"]
    call_command("train", *told, "--stop-at-nan", "--patience", "4", "--watched-metrics", "train/*")
    number = re.search(r"Job (\d+)", capsys.readouterr().out)
    assert number and WatchOptions.of_job(TrainingJob.objects.get(pk=number[1])) == wanted


@pytest.mark.parametrize("patience", [0, -1, "three", 1.5])
def test_a_patience_that_is_none_is_refused(cast: SimpleNamespace, program: Program, patience: Any) -> None:
    body = {"experiment": cast.experiment.pk, "trainer": "example", "model_name": "halving", "patience": patience}
    assert program.post("/api/v1/training/jobs", body).status_code == 422
    with pytest.raises(ValidationError):
        document_read(f"project: a\ntrainer: b\npatience: {patience}")


def test_a_trainer_with_a_patience_of_its_own_is_pointed_to_it(cast: SimpleNamespace) -> None:
    with pytest.raises(ValidationError, match="use its own setting patience"):
        job_create(
            user=cast.owner,
            experiment=cast.experiment,
            trainer="ultralytics",
            model_name="yolo11n.yaml",
            dataset=None,
            config={},
            watch=WatchOptions(patience=3),
        )


def test_the_form_makes_and_copies_them(cast: SimpleNamespace, client: Client) -> None:
    client.force_login(cast.owner)
    form = {"trainer": "example", "settings_of": "example", "model": "halving", "project": "Bottles"}
    form |= {"experiment": "First", "key": "k" * 32, "stop_at_nan": "on", "patience": "5", "watched_metrics": "train/*"}
    assert client.post("/jobs/new/", form).status_code == 302
    job = TrainingJob.objects.get()
    assert WatchOptions.of_job(job) == WatchOptions(True, 5, "train/*")
    page = client.get(f"/jobs/new/?from={job.pk}").content.decode()
    assert "--stop-at-nan" in page and "--patience 5" in page and re.search(r'name="stop_at_nan"[^>]*checked', page)
    wrong = client.post("/jobs/new/", form | {"patience": "0", "key": "j" * 32})
    assert wrong.status_code == 422 and "patience must be from 1" in wrong.content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_real_trainer_saves_and_leaves_and_its_job_is_completed(
    scripted: Any,  # noqa: F811
    settings: Any,
    live_server: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("training.jobs.watching._primary", lambda job: PRIMARY)
    settings.SITE_URL = live_server.url

    def watch() -> None:
        deadline = time.monotonic() + 60
        while not TrainingJob.objects.exclude(stop_attempt=0).exists() and time.monotonic() < deadline:
            jobs_watch()
            time.sleep(0.1)
        connection.close()

    watcher = threading.Thread(target=watch)
    watcher.start()
    job = scripted(
        "import time\nfrom trainers.sdk import TrainerSDK\n"
        "with TrainerSDK() as sdk:\n"
        "    sdk.report_started(100)\n"
        "    for epoch in range(1, 600):\n"
        f"        sdk.report_progress({{{PRIMARY!r}: 0.5}}, epoch=epoch)\n"
        "        if sdk.should_stop:\n"
        "            sdk.report_cancelled()\n"
        "            break\n"
        "        time.sleep(0.1)\n",
        patience=3,
    )
    watcher.join()
    job.refresh_from_db()
    assert job.state == JobState.COMPLETED, job.error_message
    assert job.state_reason.startswith("stopped early: ")
