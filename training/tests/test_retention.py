"""Which checkpoints stay: best and last always, of the periodic ones what the organization or the project says."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from training import tasks
from training.imports.removals import removals_work
from training.jobs.transition import NotAllowed
from training.models import AuditEntry, Checkpoint, JobAttempt, JobState, Organization, Project, TrainingJob
from training.retention import checkpoint_delete, checkpoints_expire, keeping_of, organization_keep, project_keep
from training.storage.store import internal_store
from training.tests.conftest import job_make, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def ended(cast: SimpleNamespace, attempt: JobAttempt) -> TrainingJob:
    """A job that ended ten days ago, with a best, a last and six periodic checkpoints."""
    for number, kind in enumerate(["best", "last", *["epoch"] * 6]):
        checkpoint_make(attempt, kind, number)
    over = {"state": JobState.COMPLETED, "ended_at": timezone.now() - timedelta(days=10)}
    TrainingJob.objects.filter(pk=attempt.job_id).update(**over)
    return TrainingJob.objects.get(pk=attempt.job_id)


def checkpoint_make(attempt: JobAttempt, kind: str, epoch: int) -> Checkpoint:
    key = f"jobs/{attempt.job_id}/attempts/{attempt.number}/checkpoints/{kind}-{epoch}.pt"
    internal_store().put(key, b"weights")
    facts = {"key": key, "size": 7, "sha256": f"{epoch:064x}"}
    return Checkpoint.objects.create(job=attempt.job, attempt=attempt, kind=kind, epoch=epoch, **facts)


def left(job: TrainingJob) -> list[tuple[str, int | None]]:
    return sorted(job.checkpoints.values_list("kind", "epoch"))


def test_the_newest_periodic_ones_stay_and_best_and_last(ended: TrainingJob, stopping: Any) -> None:
    tasks.housekeep()
    assert left(ended) == [("best", 0), ("epoch", 5), ("epoch", 6), ("epoch", 7), ("last", 1)]
    entry = AuditEntry.objects.get(action="job.checkpoints_expire")
    assert (entry.old, entry.new) == ({"epochs": [4, 3, 2], "bytes": 21}, {"kept": 3})
    assert entry.organization == ended.experiment.project.organization
    assert removals_work(stopping)
    assert len(list(internal_store().list("jobs"))) == 5


@pytest.fixture
def stopping() -> Any:
    import threading

    return threading.Event()


def test_a_project_may_have_a_number_of_its_own(ended: TrainingJob) -> None:
    project = ended.experiment.project
    project_keep(project, 1)
    assert keeping_of(Project.objects.get(pk=project.pk)).of_project
    assert checkpoints_expire() == 5
    project_keep(project, None)
    assert keeping_of(Project.objects.get(pk=project.pk)).epochs == 3


@pytest.mark.parametrize(
    "change",
    [
        {"state": JobState.RUNNING, "ended_at": None},
        {"ended_at": timezone.now() - timedelta(days=6)},
    ],
    ids=["runs", "lately"],
)
def test_nothing_goes_while_the_job_runs_or_has_just_ended(ended: TrainingJob, change: dict[str, Any]) -> None:
    TrainingJob.objects.update(**change)
    assert checkpoints_expire() == 0


def test_what_a_job_began_from_stays(ended: TrainingJob, cast: SimpleNamespace) -> None:
    job_make(cast, JobState.COMPLETED, weights_from=ended.checkpoints.get(epoch=2))
    assert checkpoints_expire() == 2
    assert ended.checkpoints.filter(epoch=2).exists()


def test_the_days_are_the_organizations(ended: TrainingJob, cast: SimpleNamespace) -> None:
    organization_keep(cast.organization, 0, 30, by=cast.owner)
    assert checkpoints_expire() == 0
    organization_keep(cast.organization, 0, 0, by=cast.owner)
    assert checkpoints_expire() == 6
    with pytest.raises(ValidationError):
        organization_keep(cast.organization, -1, 0)


def test_a_person_deletes_one(ended: TrainingJob, cast: SimpleNamespace, stopping: Any) -> None:
    best = ended.checkpoints.get(kind="best")
    client = Client()
    client.force_login(cast.owner)
    assert "56" in client.get(f"/jobs/{ended.pk}/checkpoints/").content.decode()  # bytes, of all eight
    assert client.post(f"/checkpoints/{best.pk}/delete/").status_code == 302
    assert not Checkpoint.objects.filter(pk=best.pk).exists()
    assert removals_work(stopping) and internal_store().stat(best.key) is None
    assert AuditEntry.objects.filter(action="checkpoint.delete", object_id=str(best.pk)).exists()


def test_one_that_is_needed_is_not_deleted(ended: TrainingJob, cast: SimpleNamespace) -> None:
    best = ended.checkpoints.get(kind="best")
    other = job_make(cast, JobState.QUEUED, name="Next", weights_from=best)
    with pytest.raises(NotAllowed, match="Next"):
        checkpoint_delete(best)
    TrainingJob.objects.filter(pk=other.pk).update(state=JobState.COMPLETED)
    TrainingJob.objects.filter(pk=ended.pk).update(state=JobState.RUNNING)
    with pytest.raises(NotAllowed, match="has not ended"):
        checkpoint_delete(best)


def test_only_those_who_may_see_the_button(ended: TrainingJob, cast: SimpleNamespace) -> None:
    for user, sees in ((cast.owner, True), (cast.teammate, False)):
        client = Client()
        client.force_login(user)
        assert ("/delete/" in client.get(f"/jobs/{ended.pk}/checkpoints/").content.decode()) is sees


def test_the_forms_set_the_numbers_and_refuse_others(cast: SimpleNamespace) -> None:
    client = Client()
    client.force_login(cast.owner)
    address = f"/organizations/{cast.organization.pk}/keeping/"
    client.post(address, {"keep_epochs": "5", "keep_epochs_days": "1"})
    client.post(address, {"keep_epochs": "-1", "keep_epochs_days": "1"})
    found = Organization.objects.get(pk=cast.organization.pk)
    assert (found.keep_epochs, found.keep_epochs_days) == (5, 1)
    edit = f"/projects/{cast.experiment.project_id}/edit/"
    said = {"name": "Bottles", "description": "", "keep_epochs": "2"}
    assert client.post(edit, said).status_code == 302
    assert Project.objects.get().keep_epochs == 2
    assert client.post(edit, said | {"keep_epochs": "20000"}).status_code == 422
    stranger = Client()
    stranger.force_login(person("visitor"))
    assert stranger.post(address, {"keep_epochs": "1", "keep_epochs_days": "1"}).status_code == 404
