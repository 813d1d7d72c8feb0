"""Backup and restore with real databases: while others write, into an empty one, and what is refused."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from platform_site.tests.own_database import OwnDatabase
from platform_site.tests.test_end_to_end import Platform
from platform_site.tests.test_server import ROOT

pytestmark = pytest.mark.timeout(180)
SECRET = "a-secret-of-the-environment-0123456789"
FILL = """
import django, hashlib; django.setup()
from django.utils import timezone
from training.models import *
from training.jobs.services import job_create
from training.journal.writer import append_event
from training.storage.store import external_store, internal_store
user = User.objects.create_user("u", "u@example.com", "a long enough password")
organization = Organization.objects.create(name="Öhr \\\\n\\t", slug="o")
Membership.objects.create(user=user, organization=organization, role=Role.ADMIN)
experiment = Experiment.objects.create(project=Project.objects.create(organization=organization, name="p"), name="e")
job = job_create(user=user, experiment=experiment, trainer="example", model_name="halving", dataset=None, config={})
for number in range(300):
    append_event(job.pk, {"type": "note", "text": f"line {number}\\n\\\\ö"})
attempt = JobAttempt.objects.create(job=job, number=1, opened_at=timezone.now(), lease_until=timezone.now())
data = b"weights" * 1000
internal_store().put("jobs/1/best.pt", data)
Checkpoint.objects.create(job=job, attempt=attempt, kind="best", key="jobs/1/best.pt", size=len(data),
    sha256=hashlib.sha256(data).hexdigest())
external_store().put("datasets/1/images/a.png", b"picture")
external_store().put("datasets/2/not-named.png", b"nobody's")
Dataset.objects.create(organization=organization, name="d", format="yolo", prefix="datasets/1", created_by=user)
from django.contrib.sessions.backends.db import SessionStore
SessionStore().create()
"""
WRITE = """
import django; django.setup()
from training.journal.writer import append_event
for number in range(400):
    append_event(1, {"type": "note", "text": str(number)})
"""
LOSE = """
import django; django.setup()
from training.storage.store import internal_store
internal_store().delete("jobs/1/best.pt")
"""
SEEN = """
import django, json; django.setup()
from training.models import *
from training.storage.store import external_store, internal_store
from django.contrib.sessions.models import Session
from training.journal.writer import append_event
records = list(JournalRecord.objects.order_by("seq").values_list("seq", flat=True))
print(json.dumps({"jobs": TrainingJob.objects.count(), "whole": records == list(range(1, len(records) + 1)),
  "organization": Organization.objects.get().name, "records": len(records), "sessions": Session.objects.count(),
  "weights": len(internal_store().get("jobs/1/best.pt")),
  "password": User.objects.get().check_password("a long enough password"),
  "picture": external_store().get("datasets/1/images/a.png").decode(),
  "stray": bool(external_store().stat("datasets/2/not-named.png")),
  "next": Organization.objects.create(name="next", slug="next").pk}))
"""


class Place(Platform):
    """A platform that nothing runs of: a database and stores of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.database = OwnDatabase()
        super().__init__(folder, DJANGO_SECRET_KEY=SECRET, **self.database.variables)

    def refused(self, *arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=90)
        assert done.returncode != 0, done.stdout
        return done.stderr


@pytest.fixture
def places(tmp_path: Path) -> Iterator[tuple[Place, Place]]:
    """One that is in use, and an empty one."""
    full, empty = Place(tmp_path / "full"), Place(tmp_path / "empty")
    full.run("manage.py", "migrate", "--verbosity", "0")
    full.run("-c", FILL)
    yield full, empty
    full.database.drop()
    empty.database.drop()


def seen(place: Place) -> dict[str, object]:
    return dict(json.loads(place.run("-c", SEEN).splitlines()[-1]))


def test_a_backup_while_others_write_is_restored_whole(places: tuple[Place, Place], tmp_path: Path) -> None:
    full, empty = places
    folder = tmp_path / "backup"
    writer = threading.Thread(target=full.run, args=("-c", WRITE))
    writer.start()
    assert "2 files" in full.run("manage.py", "backup", str(folder))
    writer.join(90)
    assert "is what its checksum says" in " ".join(empty.run("manage.py", "restore", str(folder)).split())
    told = seen(empty)
    assert 301 <= int(str(told.pop("records"))) <= 701 and told == {
        "jobs": 1,
        "whole": True,
        "organization": "Öhr \\n\t",
        "sessions": 0,
        "weights": 7000,
        "password": True,
        "picture": "picture",
        "stray": False,
        "next": 2,
    }
    assert os.stat(folder).st_mode & 0o077 == 0
    assert not any(SECRET.encode() in file.read_bytes() for file in folder.rglob("*") if file.is_file())
    assert "not empty (1 in training_user" in full.refused("manage.py", "restore", str(folder))
    full.run("manage.py", "restore", "--force", str(folder))
    assert seen(full)["jobs"] == 1
    assert "is not empty" in full.refused("manage.py", "backup", str(folder))


def test_a_damaged_backup_is_refused_before_anything_changes(places: tuple[Place, Place], tmp_path: Path) -> None:
    full, empty = places
    folder = tmp_path / "backup"
    full.run("manage.py", "backup", str(folder))
    weights = folder / "files" / "internal" / "jobs" / "1" / "best.pt"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    assert "is damaged" in empty.refused("manage.py", "restore", str(folder))
    (folder / "manifest.json").unlink()
    assert "no whole backup" in empty.refused("manage.py", "restore", str(folder))


def test_a_file_that_is_missing_is_named_and_the_rest_saved(places: tuple[Place, Place], tmp_path: Path) -> None:
    full, empty = places
    full.run("-c", LOSE)
    assert "jobs/1/best.pt is named by the database" in full.refused("manage.py", "backup", str(tmp_path / "backup"))
    assert "Was missing already" in empty.run("manage.py", "restore", str(tmp_path / "backup"))
