"""Cancel, step by step, in every state; and what a cancel of a job that has ended is answered."""

import time
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from training.execution.reaper import jobs_reap
from training.jobs.attempts import attempt_cancelled, attempt_completed, attempt_heartbeat, attempt_started
from training.jobs.cancelling import Step, cancel_steps
from training.jobs.services import job_cancel
from training.jobs.transition import NotAllowed
from training.models import JobAttempt, JobState, TrainingJob
from training.tests.conftest import job_make
from training.tests.test_attempts import lease_over
from training.tests.test_execution import scripted  # noqa: F401
from training.tests.test_resume import saved

pytestmark = pytest.mark.django_db


def steps(job: TrainingJob) -> list[Step]:
    job.refresh_from_db()
    return cancel_steps(job, job.attempts.order_by("number").last())


def done(job: TrainingJob) -> list[str]:
    return [step.title for step in steps(job) if step.at]


def test_a_cancel_is_followed_from_asking_to_the_end(cast: Any, job: TrainingJob, attempt: JobAttempt) -> None:
    attempt_started(job.pk, 1, {"total_epochs": 9})
    job_cancel(job, cast.owner)
    assert done(job) == ["Asked for"] and all(step.by for step in steps(job)[1:])
    attempt_heartbeat(job.pk, 1, cancel_seen=True)
    assert done(job) == ["Asked for", "Seen by the trainer"]
    saved(attempt, 4)
    assert done(job)[-1] == "Last checkpoint saved" and steps(job)[2].note == "epoch 4"
    attempt_cancelled(job.pk, 1, "supervisor")
    assert len(done(job)) == 4 and not any(step.by for step in steps(job))


def test_a_checkpoint_from_before_the_cancel_is_not_its_own(cast: Any, job: TrainingJob, attempt: JobAttempt) -> None:
    attempt_started(job.pk, 1, {})
    saved(attempt, 4)
    job_cancel(job, cast.owner)
    assert done(job) == ["Asked for"]


def test_a_trainer_that_never_answered_is_said_so(cast: Any, job: TrainingJob, attempt: JobAttempt) -> None:
    attempt_started(job.pk, 1, {})
    job_cancel(job, cast.owner)
    attempt_cancelled(job.pk, 1, "supervisor")
    assert done(job) == ["Asked for", "Stopped"]
    assert [step.note for step in steps(job)[1:3]] == ["it did not answer", "none was uploaded"]


def test_a_job_that_had_not_started_has_nothing_to_save(cast: Any, job: TrainingJob, attempt: JobAttempt) -> None:
    job_cancel(job, cast.owner)
    assert [step.skipped for step in steps(job)] == [False, True, True, False]


def lost(job: TrainingJob, attempt: JobAttempt) -> None:
    attempt_started(job.pk, 1, {})
    lease_over(attempt)
    jobs_reap()


def finalizing(job: TrainingJob, attempt: JobAttempt) -> None:
    attempt_started(job.pk, 1, {})
    attempt_completed(job.pk, 1, {"final_no": 5})


@pytest.mark.parametrize("begin", [lambda job, attempt: None, lost, finalizing], ids=["claimed", "lost", "finalizing"])
def test_a_cancel_works_in_every_state_of_a_run(cast: Any, job: TrainingJob, attempt: JobAttempt, begin: Any) -> None:
    begin(job, attempt)
    for _ in range(2):  # a second one changes nothing
        assert job_cancel(job, cast.owner).state == JobState.CANCELLING
    lease_over(attempt)
    assert jobs_reap() == 1 and len(steps(job)) == 4
    assert job.state == JobState.CANCELLED


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (JobState.COMPLETED, "has completed"),
        (JobState.FAILED, "has failed"),
        (JobState.CANCELLED, "has been cancelled"),
    ],
)
def test_a_cancel_of_a_job_that_has_ended_says_so(cast: Any, state: JobState, words: str) -> None:
    job = job_make(cast, state)
    with pytest.raises(NotAllowed, match=words):
        job_cancel(job, cast.owner)
    job.refresh_from_db()
    assert job.state == state


def test_the_page_shows_the_steps(client: Client, cast: Any, job: TrainingJob, attempt: JobAttempt) -> None:
    attempt_started(job.pk, 1, {})
    job_cancel(job, cast.owner)
    client.force_login(cast.owner)
    page = client.get(reverse("job-page", args=[job.pk])).content.decode()
    assert "Seen by the trainer" in page and "within <span data-until=" in page


@pytest.mark.django_db(transaction=True)
def test_a_real_trainer_saves_its_checkpoint_and_is_seen_to(
    scripted: Any,  # noqa: F811
    cast: Any,
    settings: Any,
    live_server: Any,
) -> None:
    settings.SITE_URL = live_server.url
    import threading

    def cancel() -> None:
        deadline = time.monotonic() + 60
        while not TrainingJob.objects.filter(state=JobState.RUNNING).exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        job_cancel(TrainingJob.objects.get(), cast.owner)
        connection.close()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    job = scripted(
        "import time\nfrom trainers.sdk import TrainerSDK\n"
        "with TrainerSDK() as sdk:\n"
        "    sdk.report_started(9)\n"
        "    while not sdk.should_stop: time.sleep(0.05)\n"
        "    open('last.pt', 'wb').write(b'weights')\n"
        "    sdk.upload_checkpoint('last.pt', 'last', epoch=3)\n"
        "    sdk.wait_for_uploads(30)\n"
        "    sdk.report_cancelled()\n"
    )
    canceller.join()
    assert job.state == JobState.CANCELLED and len(done(job)) == 4
