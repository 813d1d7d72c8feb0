"""The first page: what runs, waits, failed and is done, on which machines; or what to do first."""

import os
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from training import tasks
from training.disks import disk_uses, disks_measure, folder_use
from training.jobs.dashboard import dashboard
from training.models import Dataset, DiskUse, JobAttempt, JobState, MetricSummary, Slot, TrainingJob, Worker
from training.tests.conftest import job_make, person
from training.tests.journal_entries import named, tell
from training.tests.test_pages import EVIL, browser, text_of

pytestmark = pytest.mark.django_db
METRIC = "metrics/mAP50-95(B)"


def test_someone_new_is_told_what_to_do_first(cast: SimpleNamespace) -> None:
    page = text_of(browser(cast.owner), "/")
    assert "import_dataset FOLDER --name NAME --organization ours" in page and "make demo" in page
    assert "No worker is running" in page and "manage.py up" in page


def test_the_first_steps_go_on_from_where_one_is(cast: SimpleNamespace) -> None:
    Dataset.objects.create(organization=cast.organization, name="d", format="yolo", task_type="detection", prefix="d")
    assert "There is one" in text_of(browser(cast.owner), "/")
    job_make(cast)
    assert "First steps" not in text_of(browser(cast.owner), "/")


def test_a_guest_is_not_told_to_do_what_the_role_forbids(cast: SimpleNamespace) -> None:
    page = text_of(browser(cast.teammate), "/")
    assert "import_dataset" not in page and "New job" not in page


def test_someone_without_an_organization_is_told_whom_to_ask(cast: SimpleNamespace) -> None:
    assert "not a member of an organization" in text_of(browser(person("alone")), "/")


def test_a_running_job_shows_its_progress_and_what_it_last_said(cast: SimpleNamespace, worker: Worker) -> None:
    now = timezone.now()
    job = job_make(cast, JobState.RUNNING, attempt=1, started_at=now - timedelta(minutes=10))
    fields = {"opened_at": now, "lease_until": now, "started_at": now - timedelta(minutes=10), "total_epochs": 10}
    JobAttempt.objects.create(job=job, number=1, heartbeat_at=now - timedelta(hours=1), **fields)
    first, last = (now - timedelta(seconds=100)).timestamp(), now.timestamp()
    tell(job, _at(first, 0.25, 3), _at(last, 0.5, 5))
    (row,) = dashboard(cast.owner).running
    assert row.progress.percent == 50 and row.metric == (METRIC, 0.5) and row.silent is not None
    assert row.progress.remaining == pytest.approx(250, abs=5)
    page = text_of(browser(cast.owner), "/")
    assert "epoch 5 / 10" in page and "4 min" in page and "silent" in page


def _at(time: float, value: float, epoch: int) -> Any:
    from dataclasses import replace

    return replace(named(METRIC, value, step=epoch), time=time, epoch=epoch)


def test_waiting_jobs_tell_their_place_and_why(cast: SimpleNamespace, worker: Worker) -> None:
    now = timezone.now()
    stranger = cast.stranger
    for number, who in enumerate([stranger, cast.owner, cast.owner]):
        experiment = cast.experiment if who is cast.owner else _theirs(cast)
        job_make(cast, created_by=who, experiment=experiment, queued_at=now + timedelta(seconds=number))
    board = dashboard(cast.owner)
    assert [one.place for one in board.waiting] == [2, 3]  # another organization's job is before them, and not named
    assert board.waiting[0].reason == "Its data are being checked."
    TrainingJob.objects.update(validated_at=now)
    assert dashboard(cast.owner).waiting[0].reason.startswith("It starts as soon as")
    Slot.objects.update(attempt=_attempt(cast))
    assert dashboard(cast.owner).waiting[0].reason == "The only slot is taken."
    Worker.objects.update(seen_at=now - timedelta(minutes=5))
    assert dashboard(cast.owner).waiting[0].reason == "No worker is running."


def _attempt(cast: SimpleNamespace) -> JobAttempt:
    now = timezone.now()
    return JobAttempt.objects.create(job=job_make(cast, JobState.FAILED), number=1, opened_at=now, lease_until=now)


def _theirs(cast: SimpleNamespace) -> Any:
    from training.models import Experiment, Project

    return Experiment.objects.create(project=Project.objects.create(organization=cast.theirs, name="t"), name="t")


def test_failed_and_completed_jobs_of_the_last_days_are_shown(cast: SimpleNamespace) -> None:
    now = timezone.now()
    job_make(cast, JobState.FAILED, name="bad", ended_at=now, error_type="RESOURCE_ERROR", error_message=f"{EVIL}\nx")
    job_make(cast, JobState.FAILED, name="long ago", ended_at=now - timedelta(days=8))
    done = job_make(cast, JobState.COMPLETED, name="good", started_at=now, ended_at=now)
    MetricSummary.objects.create(job=done, name=METRIC, best=0.875, best_epoch=7, latest=0.5)
    page = text_of(browser(cast.owner), "/")
    assert "Resources" in page and "<img" not in page and "long ago" not in page
    assert "0.8750" in page and "epoch 7" in page
    assert "bad" not in text_of(browser(cast.stranger), "/")


def test_the_page_is_asked_again_for_its_live_part_only(cast: SimpleNamespace) -> None:
    response = browser(cast.owner).get("/", headers={"HX-Request": "true"})
    assert b"<html" not in response.content and b"Running" in response.content


def test_disks_are_measured_in_the_background_and_not_too_often(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    (tmp_path / "internal").mkdir()
    (tmp_path / "internal" / "one.pt").write_bytes(b"x" * 1000)
    (tmp_path / "link").symlink_to(tmp_path)
    assert disks_measure() == 3 and disks_measure() == 0
    uses = {use.place: use for _, use in disk_uses()}
    assert (uses["internal"].used, uses["internal"].files) == (1000, 1)
    assert uses["external"].used == 0 and uses["external"].total  # nothing has been stored there yet
    assert uses["data"].used >= 1000
    DiskUse.objects.update(measured_at=timezone.now() - timedelta(minutes=11))
    assert disks_measure() == 3


def test_a_folder_that_can_not_be_read_is_not_counted(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"123")
    os.symlink(tmp_path / "nowhere", tmp_path / "dangling")
    size, files = folder_use(tmp_path)
    assert files == 2 and size >= 3 and folder_use(tmp_path / "missing") == (0, 0)


def test_one_step_of_the_housekeeping_that_fails_does_not_hold_up_the_next(
    db: None, monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path
) -> None:
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr(tasks, "jobs_purge", lambda: 1 / 0)
    tasks.jobs_purge.__name__ = "jobs_purge"
    tasks.housekeep()
    assert DiskUse.objects.count() == 3
