"""The page of workers and their REST list: shared by all, with names only for whom they are meant."""

import re
import time
from types import SimpleNamespace

import pytest
from django.test import Client
from django.urls import reverse

from training.jobs.attempts import job_claim
from training.models import Experiment, Priority, Project, Slot, User, Worker
from training.tests.conftest import job_make
from training.tests.journal_entries import metrics, tell
from training.tests.test_pages import browser, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def busy(cast: SimpleNamespace, worker: Worker) -> Worker:
    """Our job runs, theirs waits."""
    theirs = Experiment.objects.create(
        project=Project.objects.create(organization=cast.theirs, name="Secret"), name="Secret"
    )
    assert job_claim(job_make(cast, name="Our run").pk, worker)
    job_make(cast, experiment=theirs, name="Their run", created_by=cast.stranger)
    return worker


def site_admin() -> Client:
    return browser(User.objects.create_superuser("root", "root@example.com", "a long enough password"))


def test_one_s_own_jobs_are_named_and_those_of_others_are_not(cast: SimpleNamespace, busy: Worker) -> None:
    ours = text_of(browser(cast.teammate), reverse("worker-list"))
    assert "Our run" in ours and "Their run" not in ours and "another organization's job" in ours
    theirs = text_of(browser(cast.stranger), reverse("worker-list"))
    assert "Our run" not in theirs and "Their run" in theirs and "Its data are being checked." in theirs


def test_rest_lists_the_workers_without_the_jobs_of_others(cast: SimpleNamespace, busy: Worker) -> None:
    for person, seen in ((cast.owner, True), (cast.stranger, False)):
        slot = browser(person).get(reverse("api:worker-list")).json()["items"][0]["slots"][0]
        assert slot["taken"] and (slot["job"] is not None) == seen


def test_administrators_of_the_site_drain_and_see_everything(busy: Worker) -> None:
    client = site_admin()
    page = text_of(client, reverse("worker-list"))
    assert "Our run" in page and "Their run" in page and not re.search(r"/jobs/\d", page.split('id="workers"')[1])
    client.post(reverse("worker-drain", args=[busy.pk]))
    busy.refresh_from_db()
    assert busy.draining_at is not None and "Take jobs again" in text_of(client, reverse("worker-list"))
    client.post(reverse("worker-undrain", args=[busy.pk]))
    busy.refresh_from_db()
    assert busy.draining_at is None
    assert client.post(reverse("worker-drain", args=[999])).status_code == 404


def test_without_workers_the_page_says_what_to_do(cast: SimpleNamespace) -> None:
    assert "python manage.py up" in text_of(browser(cast.owner), reverse("worker-list"))


def test_a_waiting_job_s_page_says_why_it_waits(cast: SimpleNamespace, worker: Worker) -> None:
    Slot.objects.all().delete()
    job = job_make(cast, config={"device": "0,1"}, validated_at=worker.seen_at, priority=Priority.LOW)
    page = text_of(browser(cast.owner), reverse("job-page", args=[job.pk]))
    assert "It asks for 2 GPUs of one worker; the largest worker has none." in page and "Low priority" in page


def test_a_priority_is_changed_over_rest(cast: SimpleNamespace) -> None:
    job = job_make(cast)
    address, form = reverse("api:job", args=[job.pk]), {"content_type": "application/json"}
    client = browser(cast.owner)
    assert client.patch(address, {"priority": "high"}, **form).json()["priority"] == "high"
    assert client.patch(address, {"priority": "urgent"}, **form).status_code in (400, 422)
    job.refresh_from_db()
    assert job.priority == Priority.HIGH


def test_the_board_tells_the_load_of_each_slot_and_names_no_job_of_others(cast: SimpleNamespace, busy: Worker) -> None:
    job = busy.slots.get().attempt.job  # type: ignore[union-attr]
    Slot.objects.create(worker=busy, device="1", label="H200", attempt=busy.slots.get().attempt, memory_total=2**37)
    machine = {"system/cpu.utilization": 37.0, "system/gpu.1.utilization": 91.0, "system/gpu.1.memory_gib": 64.0}
    tell(job, metrics(time=time.time() - 5, **machine), metrics(3, 1, time=time.time(), loss=1.0))
    for person in (cast.owner, cast.stranger):
        page = text_of(browser(person), reverse("worker-list"))
        assert "37" in page and "91" in page and "64" in page and 'value="50.0000"' in page
    assert "Our run" not in text_of(browser(cast.stranger), reverse("worker-list"))


def test_what_a_machine_said_long_ago_is_not_its_load(cast: SimpleNamespace, busy: Worker) -> None:
    job = busy.slots.get().attempt.job  # type: ignore[union-attr]
    tell(job, metrics(time=time.time() - 500, **{"system/cpu.utilization": 37.0}))
    assert "<meter" not in text_of(browser(cast.owner), reverse("worker-list"))
