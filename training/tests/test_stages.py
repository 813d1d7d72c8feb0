"""The stages around a run have limits and tries of their own, and need no message to come about."""

from typing import Any

import pytest
from django.utils import timezone

from training import tasks
from training.datasets import snapshot as snapshots
from training.jobs import validation
from training.jobs.validation import TRIES, job_validate, jobs_validate
from training.models import Dataset, DatasetSnapshot, JobState, TrainingJob
from training.tests.conftest import job_make

pytestmark = pytest.mark.django_db


@pytest.fixture
def job(cast: Any) -> TrainingJob:
    data = Dataset.objects.create(organization=cast.organization, name="d", format="yolo", prefix="datasets/1")
    frozen = DatasetSnapshot.objects.create(
        dataset=data, version_hash="0" * 64, manifest_key="m", file_count=0, total_bytes=0
    )
    return job_make(cast, dataset=data, snapshot=frozen, queued_at=timezone.now())


def checks(monkeypatch: pytest.MonkeyPatch, *outcomes: Any) -> list[Any]:
    """What the checks of data answer, one after another; how they were asked."""
    asked: list[Any] = []

    def check(snapshot: Any, seconds: float) -> Any:
        asked.append(seconds)
        outcome = outcomes[min(len(asked), len(outcomes)) - 1]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(validation, "snapshot_verify", check)
    return asked


def again(job: TrainingJob) -> TrainingJob:
    """Its pause is over."""
    TrainingJob.objects.filter(pk=job.pk).update(validate_after=None)
    job.refresh_from_db()
    return job


def test_a_store_that_is_away_for_a_moment_costs_a_try_and_no_job(job: TrainingJob, monkeypatch: Any) -> None:
    asked = checks(monkeypatch, OSError("away"), [])
    assert jobs_validate() == 1 and jobs_validate() == 0  # it has a pause now
    assert again(job).state == JobState.QUEUED and job.validated_at is None
    assert jobs_validate() == 1 and again(job).validated_at is not None
    assert asked == [300, 300]


def test_three_tries_are_all(job: TrainingJob, monkeypatch: Any) -> None:
    asked = checks(monkeypatch, TimeoutError("checking the data takes too long"))
    for _ in range(TRIES):
        jobs_validate()
        again(job)
    assert len(asked) == TRIES and job.state == JobState.FAILED
    assert job.error_type == "STORAGE_ERROR" and "in 3 tries: checking the data takes too long" in job.error_message


def test_changed_data_fail_the_job_at_once(job: TrainingJob, monkeypatch: Any) -> None:
    asked = checks(monkeypatch, ["a.txt has changed"])
    jobs_validate()
    assert len(asked) == 1 and again(job).error_type == "DATASET_ERROR"


def test_one_broken_job_does_not_hold_up_the_next(job: TrainingJob, cast: Any, monkeypatch: Any) -> None:
    checks(monkeypatch, RuntimeError("broken"), [])
    job_make(cast, name="next", snapshot=job.snapshot, dataset=job.dataset, queued_at=timezone.now())
    assert jobs_validate() == 2
    assert TrainingJob.objects.get(name="next").validated_at is not None


def test_a_job_that_is_being_checked_is_not_checked_by_another_sweep(job: TrainingJob, monkeypatch: Any) -> None:
    seen = []
    monkeypatch.setattr(validation, "snapshot_verify", lambda *_: seen.append(job_validate(again_not(job))) or [])
    assert job_validate(job) and seen == [False]


def again_not(job: TrainingJob) -> TrainingJob:
    return TrainingJob.objects.get(pk=job.pk)


def test_a_check_ends_at_its_limit() -> None:
    with pytest.raises(TimeoutError):
        list(snapshots._within([1, 2, 3], -1.0))


def test_a_queued_job_without_a_message_is_woken_by_the_sweep(cast: Any, monkeypatch: Any) -> None:
    job_make(cast, queue="cpu", validated_at=timezone.now())
    job_make(cast, JobState.DRAFT, queue="gpu")
    woken: list[str] = []
    monkeypatch.setattr(tasks, "queue_wake", woken.append)
    tasks.sweep()
    assert woken == ["cpu"]


def test_a_message_without_a_job_does_nothing(cast: Any, worker: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(tasks.here, "announced", lambda: worker)
    for _ in range(3):
        tasks.work("gpu")
    assert not TrainingJob.objects.exists()
