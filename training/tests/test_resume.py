"""Resume, restart and continue: where the next attempt begins, and what a trainer is given for it."""

import hashlib
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from training.execution.launch import environment_make
from training.execution.reaper import jobs_reap
from training.jobs.attempts import Ending, attempt_failed, attempt_hand_back, attempt_started, job_claim, token_make
from training.jobs.services import job_create, job_restart
from training.jobs.transition import NotAllowed
from training.journal.reader import records_after
from training.models import Checkpoint, ErrorType, JobAttempt, JobState, TrainingJob, Worker
from training.storage.store import internal_store
from training.tests.conftest import job_make
from training.tests.datasets_folder import small_dataset
from training.tests.test_attempts import lease_over

pytestmark = pytest.mark.django_db
BROKEN = Ending(ErrorType.FRAMEWORK_ERROR, "it broke", 3)


def saved(attempt: JobAttempt, epoch: int | None, kind: str = "last", **fields: Any) -> Checkpoint:
    """A checkpoint of the attempt, with its object in the store."""
    content = f"{kind} of {attempt.pk} at {epoch}".encode()
    key = f"jobs/{attempt.job_id}/attempts/{attempt.number}/checkpoints/{kind}-{epoch}.pt"
    internal_store().put(key, content)
    about = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), **fields}
    return Checkpoint.objects.create(job_id=attempt.job_id, attempt=attempt, kind=kind, epoch=epoch, key=key, **about)


def call(client: Client, job: TrainingJob, name: str, body: dict[str, Any], number: int) -> Any:
    headers = {"Authorization": f"Bearer {token_make(job.pk, number)}"}
    return client.post(reverse(f"callback-{name}", args=[job.pk]), body, "application/json", headers=headers)


def run_until_it_broke(job: TrainingJob, epochs: int = 10) -> TrainingJob:
    attempt_started(job.pk, 1, {"total_epochs": epochs})
    attempt_failed(job.pk, 1, BROKEN, "trainer")
    job.refresh_from_db()
    return job


def next_attempt(job: TrainingJob, worker: Worker) -> JobAttempt:
    worker.slots.update(attempt=None)
    claimed = job_claim(job.pk, worker)
    assert claimed is not None
    return claimed


def test_a_resumed_attempt_keeps_where_it_goes_on(
    cast: Any, job: TrainingJob, attempt: JobAttempt, worker: Any
) -> None:
    checkpoint = saved(attempt, 5, step=50)
    job_restart(run_until_it_broke(job), cast.owner, "last")
    again = next_attempt(job, worker)
    assert (again.resumed_from, again.resumed_epoch, again.resumed_step) == (checkpoint, 5, 50)


def test_a_restart_from_the_beginning_forgets_the_checkpoint(
    cast: Any, job: TrainingJob, attempt: JobAttempt, worker: Any
) -> None:
    saved(attempt, 5)
    job_restart(run_until_it_broke(job), cast.owner)
    again = next_attempt(job, worker)
    assert (again.resumed_from, again.resumed_epoch) == (None, None)


def test_a_trainer_is_given_the_checkpoint_and_its_address(
    client: Client, cast: Any, job: TrainingJob, attempt: JobAttempt, worker: Any
) -> None:
    checkpoint = saved(attempt, 5, step=50)
    job_restart(run_until_it_broke(job), cast.owner, "last")
    given = environment_make(next_attempt(job, worker))
    assert (given["RESUME_CHECKPOINT"], given["RESUME_EPOCH"], given["RESUME_STEP"]) == (
        "checkpoint/resume.pt",
        "5",
        "50",
    )
    assert given["RESUME_SHA256"] == checkpoint.sha256
    answer = call(client, job, "urls", {"get": ["checkpoint/resume.pt"]}, 2)
    got = client.get(answer.json()["get"]["checkpoint/resume.pt"])
    assert got.content == internal_store().get(checkpoint.key)


@pytest.mark.parametrize("name", ["checkpoint/weights.pt", "checkpoint/best.pt", "checkpoint/../resume.pt"])
def test_no_other_checkpoint_is_given(
    client: Client, cast: Any, job: TrainingJob, attempt: JobAttempt, worker: Any, name: str
) -> None:
    saved(attempt, 5)
    job_restart(run_until_it_broke(job), cast.owner, "last")
    next_attempt(job, worker)
    assert call(client, job, "urls", {"get": [name]}, 2).status_code == 404


@pytest.mark.parametrize(
    ("kind", "epoch", "gone"),
    [("best", 5, False), ("last", None, False), ("last", 10, False), ("last", 5, True)],
    ids=["only a best", "of no known epoch", "of the final epoch", "its object is gone"],
)
def test_a_resume_without_a_checkpoint_is_refused_and_changes_nothing(
    cast: Any, job: TrainingJob, attempt: JobAttempt, kind: str, epoch: int | None, gone: bool
) -> None:
    checkpoint = saved(attempt, epoch, kind)
    if gone:
        internal_store().delete(checkpoint.key)
    run_until_it_broke(job)
    with pytest.raises(NotAllowed, match="no checkpoint to resume from"):
        job_restart(job, cast.owner, "last")
    job.refresh_from_db()
    assert job.state == JobState.FAILED


def test_a_trainer_that_can_not_resume_is_told_apart(cast: Any, worker: Worker) -> None:
    job = job_make(cast, JobState.FAILED, trainer="example")
    with pytest.raises(NotAllowed, match="can't resume"):
        job_restart(job, cast.owner, "last")


def test_a_lost_workers_job_resumes_by_itself(
    job: TrainingJob, attempt: JobAttempt, worker: Any, settings: Any
) -> None:
    settings.LOST_GRACE_SECONDS = 0
    saved(attempt, 3)
    attempt_started(job.pk, 1, {"total_epochs": 10})
    lease_over(attempt)
    assert (jobs_reap(), jobs_reap()) == (1, 1)
    job.refresh_from_db()
    assert job.state == JobState.QUEUED and "resumes after epoch 3" in job.state_reason
    second = next_attempt(job, worker)
    lease_over(second)  # lost before it saved anything: the third goes on where the second had begun
    assert (jobs_reap(), jobs_reap()) == (1, 1)
    assert next_attempt(job, worker).resumed_epoch == 3


def test_a_job_that_is_handed_back_resumes(job: TrainingJob, attempt: JobAttempt, worker: Any) -> None:
    attempt_started(job.pk, 1, {"total_epochs": 10})
    saved(attempt, 4)
    attempt_hand_back(job.pk, 1, "the worker shuts down")
    assert next_attempt(job, worker).resumed_epoch == 4


def test_a_lost_attempt_of_a_restart_from_the_beginning_does_not_resume_the_older_one(
    cast: Any, job: TrainingJob, attempt: JobAttempt, worker: Any, settings: Any
) -> None:
    settings.LOST_GRACE_SECONDS = 0
    saved(attempt, 5)
    job_restart(run_until_it_broke(job), cast.owner, "beginning")
    lease_over(next_attempt(job, worker))
    assert (jobs_reap(), jobs_reap()) == (1, 1)
    assert next_attempt(job, worker).resumed_epoch is None


def test_a_change_of_settings_is_recorded(cast: Any, job: TrainingJob, attempt: JobAttempt) -> None:
    TrainingJob.objects.filter(pk=job.pk).update(config={"batch_size": 16})
    job_restart(run_until_it_broke(job), cast.owner, changes={"batch_size": 8})
    job.refresh_from_db()
    assert job.config["batch_size"] == 8
    events = [record.event for record in records_after(job.pk, 0) if record.event]
    assert {"batch_size 16 → 8"} == {event["text"] for event in events if event["type"] == "settings"}


def test_a_wrong_change_is_refused_and_changes_nothing(cast: Any, job: TrainingJob, attempt: JobAttempt) -> None:
    run_until_it_broke(job)
    with pytest.raises(ValidationError):
        job_restart(job, cast.owner, changes={"batch_size": 0})
    job.refresh_from_db()
    assert job.state == JobState.FAILED and "batch_size" not in job.config


def completed(cast: Any, worker: Worker) -> tuple[TrainingJob, Checkpoint]:
    job = job_make(cast)
    best = saved(next_attempt(job, worker), 7, "best")
    TrainingJob.objects.filter(pk=job.pk).update(state=JobState.COMPLETED)
    job.refresh_from_db()
    return job, best


def continue_from(cast: Any, weights: Checkpoint, **changes: Any) -> TrainingJob:
    wanted = {
        "user": cast.owner,
        "experiment": cast.experiment,
        "trainer": "ultralytics",
        "dataset": small_dataset(cast),
    }
    wanted |= {"model_name": "yolo11n.yaml", "config": {"epochs": 3}, "task_type": "detection", **changes}
    return job_create(**wanted, weights_from=weights)


def test_a_completed_job_is_continued_as_a_child(cast: Any, worker: Worker) -> None:
    parent, best = completed(cast, worker)
    child = continue_from(cast, best)
    assert (child.parent, child.weights_from, child.config["epochs"]) == (parent, best, 3)
    given = environment_make(next_attempt(child, worker))
    assert (given["WEIGHTS_CHECKPOINT"], given["WEIGHTS_SHA256"]) == ("checkpoint/weights.pt", best.sha256)
    assert "RESUME_CHECKPOINT" not in given


def test_weights_of_a_job_that_is_not_complete_are_refused(cast: Any, attempt: JobAttempt) -> None:
    with pytest.raises(ValidationError, match="not complete"):
        continue_from(cast, saved(attempt, 1, "best"))


def test_weights_of_another_organization_do_not_exist(cast: Any, worker: Worker) -> None:
    from training.models import Experiment, Project

    _, best = completed(cast, worker)
    theirs = Project.objects.create(organization=cast.theirs, name="Theirs")
    with pytest.raises(ValidationError, match="no such checkpoint"):
        continue_from(cast, best, dataset=None, experiment=Experiment.objects.create(project=theirs, name="e"))


def test_the_page_offers_to_resume_and_does(client: Client, cast: Any, job: TrainingJob, attempt: JobAttempt) -> None:
    saved(attempt, 5)
    run_until_it_broke(job)
    client.force_login(cast.owner)
    assert "Resume after epoch 5" in client.get(reverse("job-page", args=[job.pk])).content.decode()
    client.post(reverse("job-restart", args=[job.pk]), {"from": "last"})
    job.refresh_from_db()
    assert (job.state, job.state_reason) == (JobState.QUEUED, "resumed after epoch 5")


def test_the_page_says_why_a_job_can_not_be_resumed(client: Client, cast: Any, job: TrainingJob, attempt: Any) -> None:
    run_until_it_broke(job)
    client.force_login(cast.owner)
    answer = client.post(reverse("job-restart", args=[job.pk]), {"from": "last"}, follow=True)
    assert "There is no checkpoint to resume from" in answer.content.decode()


def test_the_page_of_a_new_job_carries_the_weights(client: Client, cast: Any, worker: Worker) -> None:
    parent, best = completed(cast, worker)
    client.force_login(cast.owner)
    assert "Continue from weights" in client.get(reverse("job-page", args=[parent.pk])).content.decode()
    page = client.get(reverse("job-new"), {"from": parent.pk, "continue": "best"}).content.decode()
    assert f'name="checkpoint" value="{best.pk}"' in page and "It starts from the best weights" in page


def test_weights_of_a_strangers_job_are_not_found_by_the_form(client: Client, cast: Any, worker: Worker) -> None:
    _, best = completed(cast, worker)
    client.force_login(cast.stranger)
    assert client.get(reverse("job-new"), {"checkpoint": best.pk}).status_code == 404


def test_a_job_out_of_memory_is_tried_again_with_half_the_batch(client: Client, cast: Any, worker: Worker) -> None:
    job = job_make(cast, config={"batch_size": 16})
    saved(next_attempt(job, worker), 5)
    attempt_started(job.pk, 1, {"total_epochs": 10})
    attempt_failed(job.pk, 1, Ending(ErrorType.UNKNOWN_ERROR, "CUDA out of memory. Tried to allocate"), "trainer")
    client.force_login(cast.owner)
    page = client.get(reverse("job-page", args=[job.pk])).content.decode()
    assert "The GPU&#x27;s memory ran out" in page and "Retry with batch 8" in page
    client.post(reverse("job-restart", args=[job.pk]), {"mend": "1"})
    job.refresh_from_db()
    assert (job.state, job.config["batch_size"], job.state_reason) == ("queued", 8, "resumed after epoch 5")
