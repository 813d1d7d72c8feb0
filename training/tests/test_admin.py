"""The admin: every model has its place, every page opens with real objects in few queries, for superusers only."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from training.jobs.attempts import job_claim
from training.models import (
    Alert,
    AlertMessage,
    AlertRule,
    AlertTarget,
    Artifact,
    AuditEntry,
    CallWindow,
    ChartLayout,
    Checkpoint,
    Dataset,
    DatasetImport,
    DatasetSnapshot,
    DatasetUpload,
    DatasetUploadPart,
    DiskUse,
    ExperimentTag,
    FollowerCursor,
    ImportedRun,
    InferenceJob,
    JobNotes,
    JobPreset,
    JobState,
    JobTag,
    JobWatch,
    KeptAnswer,
    MetricNames,
    MetricSeries,
    MetricSummary,
    Organization,
    PretrainedWeights,
    ProjectMembership,
    Role,
    Star,
    StoredRemoval,
    TrainingJob,
    TryCount,
    User,
    Worker,
)
from training.people.invitations import invitation_create
from training.people.keys import key_create
from training.tests.conftest import job_make, person

pytestmark = pytest.mark.django_db
JOURNAL = {"JournalRecord", "TrainingLog", "RollUp"}  # the journal's rows, and what is made of them
OURS = [model for name in ("training", "observability") for model in apps.get_app_config(name).get_models()]
SHOWN = [model for model in OURS if model.__name__ not in JOURNAL]


@pytest.fixture
def client(db: None) -> Client:
    browser = Client()
    browser.force_login(User.objects.create_superuser("root", "root@example.com", "a long enough password"))
    return browser


@pytest.fixture
def full(cast: SimpleNamespace, worker: Worker) -> SimpleNamespace:
    """Some rows of every model that has a place in the admin."""
    for number in range(3):
        fill(cast, worker, number)
    return cast


def fill(cast: SimpleNamespace, worker: Worker, number: int) -> None:
    place = {"format": "yolo", "task_type": "detection", "prefix": "p", "created_by": cast.owner}
    data = Dataset.objects.create(organization=cast.organization, name=f"d{number}", **place)
    facts = {"manifest_key": "k", "file_count": 1, "total_bytes": 1}
    DatasetSnapshot.objects.create(dataset=data, version_hash=f"h{number}", **facts)
    job = job_make(cast, dataset=data)
    worker.slots.update(attempt=None)
    attempt = job_claim(job.pk, worker)
    assert attempt is not None
    file = {"key": f"c{number}", "size": 1, "sha256": "0" * 64}
    Checkpoint.objects.create(job=job, attempt=attempt, kind="best", **file)
    MetricSummary.objects.create(job=job, name="loss")
    FollowerCursor.objects.get_or_create(follower="summary", job=job)
    MetricNames.objects.create(digest=str(number), names=["loss"])
    invitation_create(cast.organization, f"i{number}@example.com", Role.GUEST, cast.owner)
    key_create(cast.owner, cast.organization, "nightly", write=True)
    member = person(f"m{number}", cast.organization, Role.GUEST)
    ProjectMembership.objects.create(project=cast.experiment.project, user=member)
    TryCount.objects.create(digest=str(number), kind="sign-in", started_at=timezone.now())
    apps.get_model("observability", "Delivery").objects.get_or_create(job=job, backend="mlflow")
    apps.get_model("observability", "Breaker").objects.get_or_create(backend=f"b{number}")
    apps.get_model("observability", "Tally").objects.create(name="calls", labels=f'["{number}"]')
    KeptAnswer.objects.create(user=cast.owner, key=str(number), fingerprint="f", created_at=timezone.now())
    CallWindow.objects.create(caller=f"key:{number}", minute=1, calls=1)
    DiskUse.objects.create(place=f"place {number}", measured_at=timezone.now())
    ImportedRun.objects.create(organization=cast.organization, job=job, source="mlflow", run=str(number))
    JobTag.objects.create(organization=cast.organization, job=job, name="baseline")
    JobNotes.objects.create(job=job, notes="Larger images", notes_by=cast.owner)
    MetricSeries.objects.create(job=job, name="loss", attempt=1)
    ExperimentTag.objects.create(experiment=cast.experiment, name=f"t{number}")
    Star.objects.create(user=member, job=job)
    JobPreset.objects.create(organization=cast.organization, name=f"p{number}", created_by=cast.owner)
    ChartLayout.objects.create(user=member, project=cast.experiment.project)
    target = AlertTarget.objects.create(project=cast.experiment.project, name=f"t{number}", kind="email", secret="s")
    rule = AlertRule.objects.create(project=cast.experiment.project, name=f"r{number}", kind="nan")
    alert = Alert.objects.create(rule=rule, job=job, key="k", title="A value is not a number")
    AlertMessage.objects.create(alert=alert, target=target, due_at=timezone.now())
    JobWatch.objects.create(job=job)
    DatasetImport.objects.create(organization=cast.organization, name=f"i{number}", created_by=cast.owner)
    upload = {"filename": "a.zip", "key": f"uploads/{number}", "size": 1, "part_size": 1, "created_by": cast.owner}
    sent = DatasetUpload.objects.create(organization=cast.organization, **upload)
    DatasetUploadPart.objects.create(upload=sent, number=1, sha256="0")
    StoredRemoval.objects.create(store="internal", key=f"r{number}", below=False)
    Artifact.objects.create(job=job, attempt=attempt, kind="prediction", name="p.png", **(file | {"key": f"a{number}"}))
    InferenceJob.objects.create(job=job, picture_name="cat.png", width=1, height=1, created_by=cast.owner)
    PretrainedWeights.objects.create(
        organization=cast.organization, name=f"w{number}", key=f"w{number}", size=1, created_by=cast.owner
    )


def page(model: type[models.Model], name: str, *arguments: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=arguments)


def test_every_model_but_the_journals_rows_is_in_the_admin() -> None:
    missing = {model.__name__ for model in OURS if not admin.site.is_registered(model)}
    assert missing == JOURNAL


@pytest.mark.parametrize("model", SHOWN, ids=lambda model: model.__name__)
def test_every_page_opens_with_real_objects(full: SimpleNamespace, client: Client, model: Any) -> None:
    row = model.objects.order_by("pk").first()
    assert row is not None, f"the test makes no {model.__name__}: add one to `fill`"
    assert client.get(page(model, "changelist")).status_code == 200
    assert client.get(page(model, "changelist"), {"q": "x"}).status_code == 200
    assert client.get(page(model, "change", row.pk)).status_code == 200
    may_add = admin.site.get_model_admin(model).has_add_permission(SimpleNamespace(user=User(is_superuser=True)))  # type: ignore[arg-type]
    assert client.get(page(model, "add")).status_code == (200 if may_add else 403)


@pytest.mark.parametrize("model", SHOWN, ids=lambda model: model.__name__)
def test_no_list_needs_a_query_for_each_row(full: SimpleNamespace, client: Client, worker: Worker, model: Any) -> None:
    def needed() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(page(model, "changelist")).status_code == 200
        return len(queries)

    before = needed()
    for number in range(3, 9):
        fill(full, worker, number)
    assert needed() <= before <= 25


def test_only_superusers_come_in(cast: SimpleNamespace) -> None:
    User.objects.filter(pk=cast.owner.pk).update(is_staff=True)
    browser = Client()
    browser.force_login(User.objects.get(pk=cast.owner.pk))
    assert browser.get("/admin/training/user/", follow=True).status_code == 403


def test_states_are_read_only(full: SimpleNamespace, client: Client) -> None:
    job = TrainingJob.objects.latest("pk")
    assert client.post(page(TrainingJob, "change", job.pk), {"state": "completed"}).status_code == 403
    assert 'name="state"' not in client.get(page(TrainingJob, "change", job.pk)).content.decode()


@pytest.mark.parametrize(
    ("action", "state", "becomes", "refused"),
    [
        ("cancel", JobState.QUEUED, JobState.CANCELLED, JobState.COMPLETED),
        ("restart", JobState.FAILED, JobState.QUEUED, JobState.RUNNING),
    ],
)
def test_an_action_asks_before_it_acts(
    cast: SimpleNamespace, client: Client, action: str, state: JobState, becomes: JobState, refused: JobState
) -> None:
    job, other = job_make(cast, state), job_make(cast, refused)
    said = {"action": action, "_selected_action": [job.pk, other.pk]}
    question = client.post(page(TrainingJob, "changelist"), said).content.decode()
    assert "A job" in question and 'name="confirmed"' in question
    assert TrainingJob.objects.get(pk=job.pk).state == state
    client.post(page(TrainingJob, "changelist"), {**said, "confirmed": "yes"})
    assert TrainingJob.objects.get(pk=job.pk).state == becomes
    assert AuditEntry.objects.filter(action=f"job.{action}", who="root").count() == 1


def test_invitations_and_keys_are_revoked(full: SimpleNamespace, client: Client) -> None:
    for name in ("Invitation", "ApiKey"):
        model: Any = apps.get_model("training", name)
        said = {"action": "revoke", "_selected_action": [row.pk for row in model.objects.all()], "confirmed": "yes"}
        client.post(page(model, "changelist"), said)
        assert not model.objects.filter(revoked_at=None).exists()


def test_no_page_shows_a_secrets_digest(full: SimpleNamespace, client: Client) -> None:
    for name in ("Invitation", "ApiKey"):
        row: Any = apps.get_model("training", name).objects.first()
        assert row.digest not in client.get(page(type(row), "change", row.pk)).content.decode()


def test_a_change_made_here_is_in_the_audit_log(cast: SimpleNamespace, client: Client) -> None:
    nothing = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}
    said = {"name": "Renamed", "slug": "ours", "keep_epochs": "3", "keep_epochs_days": "7", **nothing}
    assert client.post(page(Organization, "change", cast.organization.pk), said).status_code == 302
    entry = AuditEntry.objects.get(action="organization.admin_change")
    assert entry.who == "root" and entry.object_name == "Renamed"


def test_an_entry_of_what_is_gone_opens(cast: SimpleNamespace, client: Client) -> None:
    invitation_create(cast.organization, "a@example.com", Role.GUEST, cast.owner)
    entry = AuditEntry.objects.get(action="invitation.create")
    cast.organization.delete()
    User.objects.filter(pk=cast.owner.pk).delete()
    assert "(gone)" in client.get(page(AuditEntry, "changelist")).content.decode()
    assert client.get(page(AuditEntry, "change", entry.pk)).status_code == 200


def test_somebody_is_made_with_a_password(client: Client) -> None:
    password = "correct horse battery"
    said = {"username": "new", "email": "new@example.com", "password1": password, "password2": password}
    assert client.post(page(User, "add"), {**said, "usable_password": "true"}).status_code == 302
    assert User.objects.get(username="new").check_password(password)
