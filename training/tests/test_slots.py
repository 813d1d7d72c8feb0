"""Slots and turns: many at once or none, a place that is held, priorities, workers that drain."""

import json
import threading
from datetime import timedelta
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from training.execution.launch import environment_make
from training.execution.workers import worker_announce
from training.jobs.attempts import job_claim, job_claim_next, slot_release
from training.jobs.draining import worker_drain, worker_undrain
from training.jobs.services import job_prioritize
from training.jobs.slots import Wanted, slots_wanted
from training.jobs.turns import PRIORITY_HOURS, in_turn, place_of_job, queue_places
from training.jobs.waiting import job_waiting
from training.models import JobAttempt, JobState, Priority, Role, Slot, TrainingJob, Worker
from training.tests.conftest import job_make, person

pytestmark = pytest.mark.django_db


def gpu_worker(name: str, gpus: int) -> Worker:
    now = timezone.now()
    worker = Worker.objects.create(name=name, host="there", started_at=now, seen_at=now, queues="cpu,gpu")
    for number in range(gpus):
        Slot.objects.create(worker=worker, device=str(number), label="NVIDIA H200")
    return worker


def queued(cast: SimpleNamespace, device: str = "", hours_ago: float = 0, **fields: Any) -> TrainingJob:
    now = timezone.now()
    config = {"device": device}
    waited = {"queued_at": now - timedelta(hours=hours_ago), "validated_at": now}
    return job_make(cast, config=config, **waited, **fields)


def held(attempt: JobAttempt | None) -> list[str]:
    return sorted(Slot.objects.filter(attempt=attempt).values_list("device", flat=True)) if attempt else []


@pytest.mark.parametrize(
    ("device", "wanted"),
    [
        ("", Wanted(1, False)),
        ("cpu", Wanted(1, False)),
        ("0", Wanted(1, True)),
        ("0,1", Wanted(2, True)),
        ("cuda:2, cuda:3", Wanted(2, True)),
        ("1,1", Wanted(1, True)),
    ],
)
def test_the_setting_device_says_how_many_gpus_are_asked_for(device: str, wanted: Wanted) -> None:
    assert slots_wanted({"device": device}) == wanted


def test_a_job_for_two_gpus_gets_two_at_once_and_sees_them_as_0_and_1(cast: SimpleNamespace) -> None:
    worker = gpu_worker("w2", 3)
    Slot.objects.filter(worker=worker, device="0").update(attempt=job_claim(queued(cast).pk, gpu_worker("w3", 1)))
    attempt = job_claim(queued(cast, "0,1").pk, worker)
    assert attempt is not None and held(attempt) == ["1", "2"] and attempt.device == "2 × NVIDIA H200"
    environment = environment_make(attempt)
    assert environment["CUDA_VISIBLE_DEVICES"] == "1,2" and environment["DEVICE"] == "0,1"
    assert json.loads(environment["CONFIG"])["device"] == "0,1"
    slot_release(attempt)
    assert Slot.objects.filter(worker=worker, attempt=None).count() == 2


def test_a_job_on_the_cpu_is_shown_no_gpu(cast: SimpleNamespace, worker: Worker) -> None:
    attempt = job_claim(queued(cast, "cpu").pk, worker)
    assert attempt is not None and environment_make(attempt)["CUDA_VISIBLE_DEVICES"] == ""


def test_a_job_that_needs_two_holds_its_place_until_both_are_free(cast: SimpleNamespace) -> None:
    worker = gpu_worker("w2", 2)
    first = job_claim_next(worker, ["gpu"]) or job_claim(queued(cast, hours_ago=3).pk, worker)
    large, small = queued(cast, "0,1", hours_ago=2), queued(cast, hours_ago=1)
    assert job_claim_next(worker, ["gpu"]) is None  # one slot is free, and kept for the one before
    assert first is not None
    slot_release(first)
    attempt = job_claim_next(worker, ["gpu"])
    assert attempt is not None and attempt.job_id == large.pk
    assert job_claim_next(worker, ["gpu"]) is None
    slot_release(attempt)
    assert getattr(job_claim_next(worker, ["gpu"]), "job_id", 0) == small.pk


def test_a_job_too_large_for_a_worker_holds_up_nobody_there(cast: SimpleNamespace) -> None:
    worker = gpu_worker("w2", 1)
    large, small = queued(cast, "0,1", hours_ago=2), queued(cast, hours_ago=1)
    assert getattr(job_claim_next(worker, ["gpu"]), "job_id", 0) == small.pk
    waiting = job_waiting(large)
    assert waiting is not None and waiting.reason == "It asks for 2 GPUs of one worker; the largest worker has 1."


def test_who_asks_for_a_gpu_is_not_started_on_a_cpu(cast: SimpleNamespace, worker: Worker) -> None:
    waiting = job_waiting(job := queued(cast, "0"))
    assert job_claim_next(worker, ["gpu"]) is None and job_claim(job.pk, worker) is None
    assert waiting is not None and "the largest worker has none" in waiting.reason


def test_priorities_come_first_and_waiting_makes_up_for_them(cast: SimpleNamespace) -> None:
    low_old = queued(cast, hours_ago=2 * PRIORITY_HOURS + 1, priority=Priority.LOW)
    low = queued(cast, hours_ago=1, priority=Priority.LOW)
    normal = queued(cast, hours_ago=0.5)
    high = queued(cast, priority=Priority.HIGH)
    order = [low_old.pk, high.pk, normal.pk, low.pk]
    assert list(in_turn(["gpu"]).values_list("pk", flat=True)) == order
    assert [place_of_job(job) for job in (low_old, high, normal, low)] == [1, 2, 3, 4]
    assert queue_places() == {pk: place for place, pk in enumerate(order, 1)}


def test_jobs_of_one_moment_have_places_of_their_own(cast: SimpleNamespace) -> None:
    first = queued(cast)
    second = job_make(cast, queued_at=first.queued_at)
    assert (place_of_job(first), place_of_job(second)) == (1, 2)


def test_only_managers_give_a_high_priority(cast: SimpleNamespace) -> None:
    engineer = person("engineer", cast.organization, Role.ADVANCED_ENGINEER)
    job = queued(cast)
    with pytest.raises(PermissionDenied):
        job_prioritize(job, engineer, Priority.HIGH)
    with pytest.raises(ValidationError):
        job_prioritize(job, engineer, 7)
    assert job_prioritize(job, engineer, Priority.LOW).priority == Priority.LOW
    assert job_prioritize(job, cast.owner, Priority.HIGH).priority == Priority.HIGH
    job.refresh_from_db()
    assert job_prioritize(job, engineer, Priority.HIGH).priority == Priority.HIGH  # it has it already
    assert job.priority == Priority.HIGH and job.state == JobState.QUEUED


def test_a_draining_worker_takes_no_more_and_says_so(cast: SimpleNamespace, worker: Worker) -> None:
    job = queued(cast)
    worker_drain(worker)
    assert job_claim_next(worker, ["gpu"]) is None and job_claim(job.pk, worker) is None
    waiting = job_waiting(job)
    assert waiting is not None and "draining" in waiting.reason
    worker_announce(worker.name, ["gpu"])  # a restart does not take it back
    assert job_claim_next(worker, ["gpu"]) is None
    worker_undrain(worker)
    assert job_claim_next(worker, ["gpu"]) is not None


def test_a_worker_announces_what_it_has(db: None) -> None:
    worker = worker_announce("new@here", ["gpu", "cpu"])
    worker.refresh_from_db()
    assert worker.queues == "cpu,gpu" and worker.version and worker.memory_total and worker.memory_free is not None
    assert worker.slots.exists()


def test_the_reasons_for_waiting(cast: SimpleNamespace) -> None:
    job = queued(cast)

    def reason() -> str:
        waiting = job_waiting(job)
        assert waiting is not None
        return waiting.reason

    assert reason() == "No worker is running."
    worker = gpu_worker("w2", 1)
    assert reason().startswith("It starts as soon as its turn has come")
    Worker.objects.filter(pk=worker.pk).update(queues="cpu")
    assert reason() == "No worker serves the queue gpu."
    Worker.objects.filter(pk=worker.pk).update(queues="cpu,gpu")
    job_claim(queued(cast).pk, worker)
    assert reason() == "The only slot is taken."
    job.validated_at = None
    assert reason() == "Its data are being checked."


def test_the_command_lists_and_drains(worker: Worker) -> None:
    out = StringIO()
    call_command("workers", "drain", worker.name, "--json", stdout=out)
    assert json.loads(out.getvalue())[0]["state"] == "drained"
    out = StringIO()
    call_command("workers", "undrain", worker.name, stdout=out)
    assert "w1" in out.getvalue() and "free" in out.getvalue()
    with pytest.raises(CommandError, match="Known: w1"):
        call_command("workers", "drain", "nobody")


@pytest.mark.django_db(transaction=True)
def test_two_workers_claim_one_job_again_and_again_and_one_wins_each_time(cast: SimpleNamespace) -> None:
    workers = [gpu_worker("a", 1), gpu_worker("b", 1)]
    for _ in range(40):
        job = queued(cast)
        won: list[JobAttempt | None] = []
        start = threading.Barrier(2)

        def claim(worker: Worker, job: TrainingJob = job, won: list[Any] = won, start: Any = start) -> None:
            start.wait(15)
            try:
                won.append(job_claim(job.pk, worker))
            finally:
                connection.close()

        threads = [threading.Thread(target=claim, args=[worker]) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        winners = [attempt for attempt in won if attempt is not None]
        assert len(won) == 2 and len(winners) == 1 and JobAttempt.objects.filter(job=job).count() == 1
        slot_release(winners[0])


def test_a_machine_without_gpus_may_offer_several_slots(db: None, settings: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("training.execution.machine.gpus", list)
    settings.CPU_SLOTS = 3
    worker = worker_announce("many@here")
    assert sorted(worker.slots.values_list("device", flat=True)) == ["cpu", "cpu-2", "cpu-3"]
    assert not any(Wanted(1, True).fits(slot) for slot in worker.slots.all())
