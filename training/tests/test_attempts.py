"""The state machine: who may do what, once only, and what a repeat is answered."""

import itertools
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from training.execution.finalize import jobs_finalize
from training.execution.reaper import jobs_reap
from training.jobs.attempts import (
    Conflict,
    Ending,
    attempt_cancelled,
    attempt_completed,
    attempt_failed,
    attempt_hand_back,
    attempt_heartbeat,
    attempt_renew,
    attempt_started,
    job_claim,
    job_claim_next,
)
from training.jobs.services import job_cancel, job_create, job_restart
from training.jobs.states import TRANSITIONS, allowed
from training.jobs.transition import NotAllowed
from training.journal.payloads import Metrics
from training.journal.reader import records_after
from training.journal.writer import Append, commit
from training.models import ErrorType, JobAttempt, JobState, Slot, TrainingJob, Worker
from training.tests.conftest import job_make

pytestmark = pytest.mark.django_db
BROKEN = Ending(ErrorType.FRAMEWORK_ERROR, "it broke", 3)


def state(job: TrainingJob) -> str:
    job.refresh_from_db()
    return job.state


def lease_over(attempt: JobAttempt, seconds: float = 1.0) -> None:
    past = timezone.now() - timedelta(seconds=seconds)
    JobAttempt.objects.filter(pk=attempt.pk).update(lease_until=past)


def test_the_table_allows_what_it_lists_and_nothing_else() -> None:
    actors = ("user", "worker", "trainer", "supervisor", "server", "reaper", "import")
    listed = {(row.source, row.target, by) for row in TRANSITIONS for by in row.by}
    for source, target, by in itertools.product(JobState, JobState, actors):
        assert allowed(source, target, by) == ((source, target, by) in listed)


def test_a_run_goes_its_way_and_every_change_is_recorded(job: TrainingJob, attempt: JobAttempt) -> None:
    attempt_started(job.pk, 1, {"total_epochs": 5})
    attempt_completed(job.pk, 1, {"final_no": 0})
    jobs_finalize()
    assert state(job) == JobState.COMPLETED
    told = [record.event["to"] for record in records_after(job.pk, 0) if record.event]
    assert told == ["claimed", "running", "finalizing", "completed"]


def test_a_repeat_of_each_call_gives_the_same_answer(job: TrainingJob, attempt: JobAttempt) -> None:
    for _ in range(2):
        assert attempt_started(job.pk, 1, {}).state == JobState.RUNNING
    for _ in range(2):
        assert attempt_completed(job.pk, 1, {"final_no": 0}).state == JobState.FINALIZING
    jobs_finalize()
    assert attempt_completed(job.pk, 1, {}).state == JobState.COMPLETED


def test_the_first_who_reports_the_end_wins(job: TrainingJob, attempt: JobAttempt) -> None:
    attempt_started(job.pk, 1, {})
    attempt_failed(job.pk, 1, BROKEN, "trainer")
    attempt_failed(job.pk, 1, Ending(ErrorType.UNKNOWN_ERROR, "exit code 1"), "supervisor")
    job.refresh_from_db()
    assert (job.state, job.error_type, job.error_message) == ("failed", "FRAMEWORK_ERROR", "it broke")


def test_completion_waits_for_the_last_report(job: TrainingJob, attempt: JobAttempt) -> None:
    attempt_started(job.pk, 1, {})
    attempt_completed(job.pk, 1, {"final_no": 1})
    jobs_finalize()
    assert state(job) == JobState.FINALIZING
    commit([Append(job.pk, 1, [Metrics(1, 1.7e9, None, None, (), b"")])])
    jobs_finalize()
    assert state(job) == JobState.COMPLETED


def test_completion_does_not_wait_for_ever(job: TrainingJob, attempt: JobAttempt, settings: Any) -> None:
    attempt_started(job.pk, 1, {})
    attempt_completed(job.pk, 1, {"final_no": 9})
    settings.FINALIZE_SECONDS = 0
    jobs_finalize()
    assert state(job) == JobState.COMPLETED


def test_a_listed_checkpoint_that_is_missing_fails_the_job(job: TrainingJob, attempt: JobAttempt) -> None:
    attempt_started(job.pk, 1, {})
    attempt_completed(job.pk, 1, {"final_no": 0, "listed_checkpoints": ["jobs/1/no.pt"]})
    jobs_finalize()
    job.refresh_from_db()
    assert (job.state, job.error_type) == ("failed", "STORAGE_ERROR") and "never uploaded" in job.error_message


def test_an_older_attempt_is_refused_everywhere(job: TrainingJob, attempt: JobAttempt) -> None:
    TrainingJob.objects.filter(pk=job.pk).update(attempt=2)
    calls = [
        lambda: attempt_started(job.pk, 1, {}),
        lambda: attempt_heartbeat(job.pk, 1),
        lambda: attempt_completed(job.pk, 1, {}),
        lambda: attempt_failed(job.pk, 1, BROKEN, "trainer"),
    ]
    for call in calls:
        with pytest.raises(Conflict, match="stale_attempt"):
            call()


def test_one_job_is_claimed_once(job: TrainingJob, worker: Worker) -> None:
    now = timezone.now()
    other = Worker.objects.create(name="w2", host="there", started_at=now, seen_at=now)
    Slot.objects.create(worker=other, device="cpu", label="CPU")
    assert job_claim(job.pk, worker) is not None and job_claim(job.pk, other) is None
    assert not JobAttempt.objects.filter(worker=other).exists()


def test_a_worker_without_a_free_slot_claims_nothing(cast: Any, attempt: JobAttempt, worker: Worker) -> None:
    job_make(cast, validated_at=timezone.now())
    assert job_claim_next(worker, ["gpu"]) is None


def test_the_job_that_waits_longest_comes_first(cast: Any, worker: Worker) -> None:
    now = timezone.now()
    late, early = (job_make(cast, validated_at=now, queued_at=now - timedelta(minutes=age)) for age in (1, 9))
    claimed = job_claim_next(worker, ["gpu"])
    assert claimed is not None and claimed.job == early and state(late) == JobState.QUEUED


def test_a_job_whose_lease_is_over_is_lost_and_comes_back(job: TrainingJob, attempt: JobAttempt) -> None:
    attempt_started(job.pk, 1, {})
    lease_over(attempt)
    assert jobs_reap() == 1 and state(job) == JobState.LOST
    attempt_heartbeat(job.pk, 1)
    assert state(job) == JobState.RUNNING and jobs_reap() == 0


def test_a_lost_job_is_queued_again_until_its_attempts_are_used_up(
    job: TrainingJob, worker: Worker, settings: Any
) -> None:
    settings.LOST_GRACE_SECONDS = 0
    for number in (1, 2, 3):
        attempt = job_claim(job.pk, worker)
        assert attempt is not None and attempt.number == number
        lease_over(attempt)
        assert (jobs_reap(), jobs_reap()) == (1, 1)
    assert state(job) == JobState.FAILED and Slot.objects.get().attempt is None


def test_a_worker_that_shuts_down_hands_its_job_back(job: TrainingJob, attempt: JobAttempt) -> None:
    attempt_started(job.pk, 1, {})
    attempt_hand_back(job.pk, 1, "shutdown")
    assert state(job) == JobState.QUEUED
    with pytest.raises(Conflict):
        attempt_heartbeat(job.pk, 1)


def test_a_queued_job_is_cancelled_at_once(cast: Any, job: TrainingJob) -> None:
    job_cancel(job, cast.owner)
    assert state(job) == JobState.CANCELLED


def test_a_running_job_is_cancelled_when_its_process_is_gone(cast: Any, job: TrainingJob, attempt: JobAttempt) -> None:
    attempt_started(job.pk, 1, {})
    for _ in range(2):  # a second click changes nothing
        job_cancel(job, cast.owner)
    assert state(job) == JobState.CANCELLING
    assert attempt_heartbeat(job.pk, 1, cancel_seen=True)[1].cancel_seen_at is not None
    attempt_cancelled(job.pk, 1, "supervisor")
    assert state(job) == JobState.CANCELLED


def test_a_cancelled_job_whose_worker_is_gone_is_closed_by_the_reaper(
    cast: Any, job: TrainingJob, attempt: JobAttempt
) -> None:
    job_cancel(job, cast.owner)
    lease_over(attempt)
    jobs_reap()
    assert state(job) == JobState.CANCELLED


def test_an_ended_job_can_not_be_cancelled_but_restarted(cast: Any, job: TrainingJob, worker: Worker) -> None:
    TrainingJob.objects.filter(pk=job.pk).update(state=JobState.FAILED, attempt=3)
    with pytest.raises(NotAllowed):
        job_cancel(job, cast.owner)
    job_restart(job, cast.owner)
    job.refresh_from_db()
    assert (job.state, job.granted_from) == (JobState.QUEUED, 3)


def test_a_supervisor_whose_attempt_is_over_gets_no_lease(job: TrainingJob, attempt: JobAttempt) -> None:
    assert attempt_renew(attempt) == JobState.CLAIMED
    attempt_hand_back(job.pk, 1, "elsewhere")
    assert attempt_renew(attempt) is None


def test_a_repeated_request_gives_the_same_job(cast: Any) -> None:
    same = {"user": cast.owner, "experiment": cast.experiment, "trainer": "example", "idempotency_key": "k1"}
    rest = {"model_name": "halving", "dataset": None, "config": {}}
    first, second = (job_create(**same, **rest) for _ in range(2))
    assert first.pk == second.pk and TrainingJob.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"trainer": "no-such"}, "trainer"),
        ({"model_name": "yolo99.yaml"}, "model_name"),
        ({"config": {"epochs": 0}}, "epochs"),
        ({"config": {"epochs": "many"}}, "epochs"),
        ({"config": {"epochs": True}}, "epochs"),
        ({"config": {"no_such_setting": 1}}, "no_such_setting"),
    ],
)
def test_wrong_settings_are_refused_at_their_field(cast: Any, changes: dict, field: str) -> None:
    request = {"trainer": "ultralytics", "model_name": "yolo11n.yaml", "config": {}, "dataset": None, **changes}
    with pytest.raises(ValidationError) as refused:
        job_create(user=cast.owner, experiment=cast.experiment, **request)
    assert field in refused.value.message_dict


def test_two_people_may_use_the_same_idempotency_key(cast: Any) -> None:
    made = [
        job_create(
            user=user,
            experiment=cast.experiment,
            trainer="example",
            model_name="halving",
            dataset=None,
            config={},
            idempotency_key="k",
        )
        for user in (cast.owner, cast.teammate)
    ]
    assert made[0].pk != made[1].pk
