"""A checkpoint counts only if its bytes are there, and lies where its attempt may write."""

import hashlib
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from training.checkpoints import (
    CheckpointRefused,
    checkpoint_get_url,
    checkpoint_put_url,
    checkpoint_register,
)
from training.models import Checkpoint, Experiment, JobAttempt, Organization, Project, TrainingJob
from training.storage.store import internal_store

pytestmark = [pytest.mark.django_db, pytest.mark.once]
SITE = "http://127.0.0.1:8000"


@pytest.fixture
def attempt(settings, tmp_path) -> JobAttempt:
    settings.INTERNAL_STORAGE_URL = f"file://{tmp_path / 'internal'}"
    organization = Organization.objects.create(name="Lab", slug="lab")
    project = Project.objects.create(organization=organization, name="p")
    job = TrainingJob.objects.create(
        experiment=Experiment.objects.create(project=project, name="e"), name="j", attempt=1
    )
    return attempt_open(job, 1)


def attempt_open(job: TrainingJob, number: int) -> JobAttempt:
    now = timezone.now()
    return JobAttempt.objects.create(job=job, number=number, opened_at=now, lease_until=now + timedelta(minutes=1))


def upload(attempt: JobAttempt, kind: str, data: bytes) -> tuple[str, int, str]:
    sha256 = hashlib.sha256(data).hexdigest()
    target = checkpoint_put_url(attempt, kind, f"{kind}.pt", len(data), sha256)
    assert Client().put(target["url"].removeprefix(SITE), data).status_code == 200
    return target["key"], len(data), sha256


def register(attempt: JobAttempt, kind: str, data: bytes, epoch: int = 1) -> Checkpoint:
    key, size, sha256 = upload(attempt, kind, data)
    return checkpoint_register(attempt, kind, epoch, epoch * 20, key, size, sha256, {"metrics/mAP50(B)": 0.5})


def test_an_uploaded_checkpoint_is_registered_and_can_be_downloaded(attempt):
    checkpoint = register(attempt, "best", b"weights")
    assert checkpoint.key.startswith(f"jobs/{attempt.job_id}/attempts/1/checkpoints/best-")
    assert (checkpoint.epoch, checkpoint.step, checkpoint.size) == (1, 20, 7)
    response = Client().get(checkpoint_get_url(checkpoint).removeprefix(SITE))
    assert b"".join(response) == b"weights"
    assert response["Content-Disposition"] == f'attachment; filename="job-{attempt.job_id}-best.pt"'


def test_the_same_call_again_gives_the_same_row(attempt):
    assert register(attempt, "last", b"one") == register(attempt, "last", b"one")
    assert Checkpoint.objects.count() == 1


def test_only_the_newest_best_and_last_are_kept(attempt, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        kept = [register(attempt, "epoch", b"epoch 1"), register(attempt, "epoch", b"epoch 2", 2)]
        old = register(attempt, "last", b"old")
        kept += [register(attempt, "last", b"new", 2), register(attempt, "best", b"old")]
    assert set(Checkpoint.objects.all()) == set(kept)
    assert internal_store().stat(old.key) is None
    assert all(internal_store().stat(checkpoint.key) for checkpoint in kept)


def test_the_older_object_stays_until_the_new_one_is_committed(attempt, django_capture_on_commit_callbacks):
    old = register(attempt, "last", b"old")
    with django_capture_on_commit_callbacks(execute=False):
        register(attempt, "last", b"new")
    assert internal_store().stat(old.key)


def test_another_attempt_keeps_its_own(attempt, django_capture_on_commit_callbacks):
    first = register(attempt, "last", b"one")
    with django_capture_on_commit_callbacks(execute=True):
        register(attempt_open(attempt.job, 2), "last", b"two")
    assert internal_store().stat(first.key)
    assert Checkpoint.objects.count() == 2


def test_a_checkpoint_that_was_not_uploaded_is_refused(attempt):
    sha256 = hashlib.sha256(b"x").hexdigest()
    key = checkpoint_put_url(attempt, "best", "best.pt", 1, sha256)["key"]
    with pytest.raises(CheckpointRefused, match="no object is there, not 1 bytes"):
        checkpoint_register(attempt, "best", 1, 1, key, 1, sha256, {})


def test_a_checkpoint_that_differs_is_refused(attempt):
    key, size, sha256 = upload(attempt, "best", b"weights")
    with pytest.raises(CheckpointRefused, match="7 bytes are there, not 8 bytes"):
        checkpoint_register(attempt, "best", 1, 1, key, 8, sha256, {})
    with pytest.raises(CheckpointRefused, match="another SHA-256"):
        checkpoint_register(attempt, "best", 1, 1, key, size, "0" * 64, {})
    (internal_store().root / key).write_bytes(b"changed")  # type: ignore[attr-defined]
    with pytest.raises(CheckpointRefused, match="another SHA-256"):
        checkpoint_register(attempt, "best", 1, 1, key, size, sha256, {})


def test_another_attempts_or_kinds_key_is_refused(attempt):
    key, size, sha256 = upload(attempt, "best", b"weights")
    other = attempt_open(attempt.job, 2)
    climbing = f"jobs/{attempt.job_id}/attempts/2/checkpoints/best-/../../../1/checkpoints/{key.rsplit('/', 1)[1]}"
    for who, kind, asked in ((other, "best", key), (attempt, "last", key), (other, "best", climbing)):
        with pytest.raises(CheckpointRefused):
            checkpoint_register(who, kind, 1, 1, asked, size, sha256, {})
    assert not Checkpoint.objects.exists()


@pytest.mark.parametrize(
    ("kind", "name", "size", "sha256"),
    [
        ("worst", "a.pt", 1, "0" * 64),
        ("best/../..", "a.pt", 1, "0" * 64),
        ("best", "a", 1, "0" * 64),
        ("best", "a.p/t", 1, "0" * 64),
        ("best", "a.pt", 0, "0" * 64),
        ("best", "a.pt", 2**40, "0" * 64),
        ("best", "a.pt", 1, "A" * 64),
        ("best", "a.pt", 1, "../" + "0" * 61),
    ],
)
def test_an_address_for_anything_else_is_refused(attempt, kind, name, size, sha256):
    with pytest.raises(CheckpointRefused):
        checkpoint_put_url(attempt, kind, name, size, sha256)
