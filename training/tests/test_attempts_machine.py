"""Any order of claims, heartbeats, reports, repeats, crashes, lost leases, cancels and retries: what always holds."""

import struct
from collections.abc import Callable
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from training.execution.finalize import jobs_finalize
from training.execution.reaper import jobs_reap
from training.jobs import attempts
from training.jobs.attempts import Conflict, Ending
from training.jobs.lost import attempt_give_up, attempt_lose
from training.jobs.services import job_cancel, job_restart
from training.jobs.states import ENDED, LIVE, allowed
from training.jobs.transition import NotAllowed
from training.journal.payloads import Line, Lines, Metrics
from training.journal.reader import Record, records_after
from training.journal.writer import Append, Appended, commit
from training.models import (
    ErrorType,
    JobAttempt,
    JobState,
    LogLevel,
    RecordKind,
    Slot,
    TrainingJob,
    TrainingLog,
    Worker,
)
from training.tests.conftest import job_make
from training.tests.test_resume import saved

BROKEN = Ending(ErrorType.FRAMEWORK_ERROR, "it broke", 3)
AGES = st.sampled_from([1, 100_000])  # seconds since a lease was over: within LOST_GRACE, and beyond it
AGE = st.integers(0, 3)  # which attempt speaks: the newest, or one that is that much older
COUNT = st.integers(1, 3)


def word(no: int, attempt: int) -> Metrics | Lines:
    """What a trainer says under a number: a point, and each third time a log line."""
    number = 1000 * attempt + no
    if no % 3 == 0:
        return Lines(no, [Line(LogLevel.INFO, "trainer", 1.7e9, str(number))])
    return Metrics(no, 1.7e9, no, None, ("number",), struct.pack("<d", number))


class Run(RuleBasedStateMachine):
    """One job, two workers, and everybody who may speak of it, in any order and more than once."""

    cast: Any = None

    @initialize()
    def begin(self) -> None:
        self.job = job_make(self.cast, validated_at=timezone.now())
        self.acknowledged: dict[int, int] = {}
        self.ended: dict[int, tuple[str, Any]] = {}
        now = timezone.now()
        self.workers = [
            Worker.objects.create(name=f"w{self.job.pk}-{n}", host="h", started_at=now, seen_at=now) for n in range(2)
        ]
        for worker in self.workers:
            Slot.objects.create(worker=worker, device="cpu", label="CPU")

    # --- who speaks -----------------------------------------------------------------
    @rule(n=st.integers(0, 1))
    def claim(self, n: int) -> None:
        Slot.objects.filter(worker=self.workers[n], attempt__ended_at__isnull=False).update(attempt=None)
        waiting = self.now().state == JobState.QUEUED
        claimed = attempts.job_claim(self.job.pk, self.workers[n])
        assert claimed is None or (waiting and claimed.number == self.now().attempt)

    @rule(age=AGE)
    def start(self, age: int) -> None:
        with self.may_be_refused(age):
            attempts.attempt_started(self.job.pk, self.number(age), {"total_epochs": 9})

    @rule(age=AGE)
    def heartbeat(self, age: int) -> None:
        with self.may_be_refused(age):
            attempts.attempt_heartbeat(self.job.pk, self.number(age))

    @rule(age=AGE, count=COUNT)
    def report(self, age: int, count: int) -> None:
        number = self.number(age)
        last = self.acknowledged.get(number, 0)
        answer = self.say(number, range(last + 1, last + 1 + count))
        if not answer.error:
            assert answer.stored == count
            self.acknowledged[number] = last + count

    @rule(age=AGE, count=COUNT)
    def repeat(self, age: int, count: int) -> None:
        number = self.number(age)
        last = self.acknowledged.get(number, 0)
        answer = self.say(number, range(max(1, last - count + 1), last + 1))
        assert answer.stored == 0

    @rule(age=AGE, count=COUNT)
    def skip(self, age: int, count: int) -> None:
        number = self.number(age)
        answer = self.say(number, [self.acknowledged.get(number, 0) + 1 + count])
        assert answer.error and answer.stored == 0

    @rule(age=AGE)
    def save(self, age: int) -> None:
        with self.may_be_refused(age):
            attempt = attempts.attempt_get(self.job.pk, self.number(age))
            saved(attempt, 1 + attempt.checkpoints.count())

    @rule(age=AGE)
    def complete(self, age: int) -> None:
        number = self.number(age)
        with self.may_be_refused(age):
            attempts.attempt_completed(self.job.pk, number, {"final_no": self.acknowledged.get(number, 0)})

    @rule(age=AGE, by=st.sampled_from(["trainer", "supervisor"]))
    def fail(self, age: int, by: str) -> None:
        with self.may_be_refused(age):
            attempts.attempt_failed(self.job.pk, self.number(age), BROKEN, by)

    @rule(age=AGE)
    def stop(self, age: int) -> None:
        with self.may_be_refused(age):
            attempts.attempt_cancelled(self.job.pk, self.number(age), "supervisor")

    @rule(age=AGE)
    def renew(self, age: int) -> None:
        if attempt := self.attempt(age):
            assert attempts.attempt_renew(attempt) is None or attempt.number == self.now().attempt

    @rule(age=AGE)
    def hand_back(self, age: int) -> None:
        attempts.attempt_hand_back(self.job.pk, self.number(age), "the worker shuts down")

    @rule(age=AGE)
    def hang(self, age: int) -> None:
        attempt_lose(self.job.pk, self.number(age), "supervisor", "it hangs")

    @rule(age=AGE)
    def crash(self, age: int) -> None:
        if attempt := self.attempt(age):
            attempt_give_up(attempt, "worker", "its worker restarted")

    @rule(seconds=AGES)
    def expire(self, seconds: int) -> None:
        past = timezone.now() - timedelta(seconds=seconds)
        JobAttempt.objects.filter(job=self.job, ended_at=None).update(lease_until=past)
        jobs_reap()

    @rule()
    def sweep(self) -> None:
        jobs_reap()
        jobs_finalize()

    @rule()
    def cancel(self) -> None:
        self.as_the_table_says(lambda: job_cancel(self.job, self.cast.owner))

    @precondition(lambda self: self.now().state in ENDED)
    @rule(source=st.sampled_from(["beginning", "last"]))
    def retry(self, source: str) -> None:
        self.as_the_table_says(lambda: job_restart(self.job, self.cast.owner, source))

    # --- what always holds ----------------------------------------------------------
    @invariant()
    def one_story_is_told(self) -> None:
        job, rows = self.now(), list(JobAttempt.objects.filter(job=self.job).order_by("number"))
        records = records_after(self.job.pk, 0, 10_000)
        self.at_most_one_attempt_is_live_and_it_is_the_newest(job, rows)
        self.the_end_of_an_attempt_is_final(rows)
        self.stored_is_acknowledged_and_no_older_attempt_speaks_after_a_newer(records)
        self.every_change_of_state_is_recorded_and_allowed(job, records)
        assert 0 <= job.attempt - job.granted_from <= 3  # no more are made by themselves than are granted

    def at_most_one_attempt_is_live_and_it_is_the_newest(self, job: TrainingJob, rows: list[JobAttempt]) -> None:
        assert [row.number for row in rows] == list(range(1, job.attempt + 1))
        live = [row.number for row in rows if row.ended_at is None]
        running = job.state in (*LIVE, JobState.LOST, JobState.CANCELLING)
        assert live == ([job.attempt] if running else [])

    def the_end_of_an_attempt_is_final(self, rows: list[JobAttempt]) -> None:
        for row in (row for row in rows if row.ended_at is not None):
            assert self.ended.setdefault(row.number, (row.outcome, row.ended_at)) == (row.outcome, row.ended_at)

    def stored_is_acknowledged_and_no_older_attempt_speaks_after_a_newer(self, records: list[Record]) -> None:
        assert [record.seq for record in records] == list(range(1, len(records) + 1))
        speaking = [record.attempt for record in records]
        assert speaking == sorted(speaking)
        lines = dict(TrainingLog.objects.filter(job=self.job, source="trainer").values_list("seq", "message"))
        said = [record for record in records if record.kind == RecordKind.METRICS or record.seq in lines]
        values = [float(lines[one.seq] if one.seq in lines else one.values[0]) for one in said]
        told = [1000.0 * number + no for number, last in sorted(self.acknowledged.items()) for no in range(1, last + 1)]
        assert values == told and TrainingLog.objects.filter(job=self.job, source="trainer").count() == len(lines)

    def every_change_of_state_is_recorded_and_allowed(self, job: TrainingJob, records: list[Record]) -> None:
        state: str = JobState.QUEUED
        for event in (record.event for record in records if record.event and record.event["type"] == "state"):
            assert event["from"] == state and allowed(state, event["to"], event["by"])
            state = event["to"]
        assert state == job.state

    # --- how it is asked ------------------------------------------------------------
    def now(self) -> TrainingJob:
        return TrainingJob.objects.get(pk=self.job.pk)

    def number(self, age: int) -> int:
        return max(1, self.now().attempt - age)

    def attempt(self, age: int) -> JobAttempt | None:
        return JobAttempt.objects.filter(job=self.job, number=self.number(age)).first()

    def say(self, number: int, numbers: Any) -> Appended:
        return commit([Append(self.job.pk, number, [word(no, number) for no in numbers])])[0]

    @contextmanager
    def may_be_refused(self, age: int) -> Any:
        """An older attempt is always refused; a refusal changes nothing."""
        before = self.now()
        stale = age > 0 and before.attempt > age
        try:
            yield
            assert not stale
        except (Conflict, JobAttempt.DoesNotExist):
            after = self.now()
            assert (after.state, after.attempt) == (before.state, before.attempt)

    def as_the_table_says(self, ask: Callable[[], Any]) -> None:
        before = self.now()
        try:
            ask()
        except NotAllowed:
            assert self.now().state == before.state


@pytest.mark.django_db
@pytest.mark.timeout(240)
def test_whatever_comes_in_whatever_order_the_journal_tells_one_story(cast: Any) -> None:
    Run.cast = cast
    limits = settings(
        max_examples=40,
        stateful_step_count=25,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],  # add Phase.shrink, which takes minutes, to look for the shortest way to a failure
    )
    run_state_machine_as_test(Run, settings=limits)
