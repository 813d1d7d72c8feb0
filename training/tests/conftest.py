"""The cast of the tests: an owner and a stranger of another organization, and jobs in the states that tests need."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from training.jobs.attempts import job_claim
from training.journal import names
from training.models import (
    Experiment,
    JobAttempt,
    JobState,
    Membership,
    Organization,
    Project,
    Role,
    Slot,
    TrainingJob,
    User,
    Worker,
)
from training.storage.s3_client import client_make
from training.tests.object_server import ObjectServer
from training.tests.rest_program import Program


@pytest.fixture(autouse=True)
def stores_in_a_temporary_folder(settings: Any, tmp_path: Any) -> None:
    settings.INTERNAL_STORAGE_URL = f"file://{tmp_path / 'internal'}"
    settings.EXTERNAL_STORAGE_URL = f"file://{tmp_path / 'external'}"
    settings.WORK_DIR = tmp_path / "work"
    settings.DATASET_CACHE_DIR = tmp_path / "cache"
    settings.IMPORT_ROOTS = [tmp_path]
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the real one takes 0.2 s on purpose


@pytest.fixture(autouse=True)
def names_forgotten() -> Iterator[None]:
    """The database of a test is rolled back, so what was interned in it is not there afterwards."""
    names.forget()
    yield
    names.forget()


@pytest.fixture(scope="session")
def object_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """A real S3 server, one for all tests that ask for it: it takes half a minute to start."""
    server = ObjectServer(tmp_path_factory.mktemp("ceph"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def stores_on_s3(settings: Any, object_server: ObjectServer, stores_in_a_temporary_folder: None) -> None:
    """Both stores in one bucket of the test's own, under prefixes that need quoting."""
    for name in ("INTERNAL", "EXTERNAL"):
        setattr(settings, f"{name}_STORAGE_ENDPOINT", object_server.url)
        setattr(settings, f"{name}_STORAGE_REGION", "us-east-1")
        setattr(settings, f"{name}_STORAGE_ACCESS_KEY", object_server.access)
        setattr(settings, f"{name}_STORAGE_SECRET_KEY", object_server.secret)
    bucket = f"test-{uuid4().hex}"
    client_make("internal").create_bucket(Bucket=bucket)
    settings.INTERNAL_STORAGE_URL = f"s3://{bucket}/our%20own"
    settings.EXTERNAL_STORAGE_URL = f"s3://{bucket}/데이터/sets"


def person(name: str, organization: Organization | None = None, role: Role = Role.ADMIN) -> User:
    user = User.objects.create_user(name, f"{name}@example.com", "a long enough password")
    if organization is not None:
        Membership.objects.create(user=user, organization=organization, role=role)
    return user


@pytest.fixture
def cast(db: None) -> SimpleNamespace:
    """`owner` and `teammate` of one organization with a project, and a `stranger` of another."""
    ours = Organization.objects.create(name="Ours", slug="ours")
    theirs = Organization.objects.create(name="Theirs", slug="theirs")
    project = Project.objects.create(organization=ours, name="Bottles")
    return SimpleNamespace(
        organization=ours,
        experiment=Experiment.objects.create(project=project, name="First"),
        owner=person("owner", ours),
        teammate=person("teammate", ours, Role.GUEST),
        stranger=person("stranger", theirs),
        theirs=theirs,
    )


def job_make(cast: SimpleNamespace, state: JobState = JobState.QUEUED, **fields: Any) -> TrainingJob:
    defaults = {"name": "A job", "trainer": "ultralytics", "task_type": "detection", "model_name": "yolo11n.yaml"}
    values = {**defaults, "created_by": cast.owner, "experiment": cast.experiment, "state": state, **fields}
    return TrainingJob.objects.create(**values)


@pytest.fixture
def worker(db: None) -> Worker:
    from django.utils import timezone

    now = timezone.now()
    worker = Worker.objects.create(name="w1", host="here", started_at=now, seen_at=now)
    Slot.objects.create(worker=worker, device="cpu", label="CPU")
    return worker


@pytest.fixture
def job(cast: SimpleNamespace) -> TrainingJob:
    return job_make(cast)


@pytest.fixture
def attempt(job: TrainingJob, worker: Worker) -> JobAttempt:
    """The first attempt of the job, claimed by the worker."""
    claimed = job_claim(job.pk, worker)
    assert claimed is not None
    return claimed


@pytest.fixture
def program(cast: SimpleNamespace) -> Program:
    """A program of the owner, with a key for reading and writing."""
    return Program(cast)
