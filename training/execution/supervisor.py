"""Runs one attempt: starts its trainer, keeps its lease, stores its output, and ends it."""

import logging
import struct
import threading
import time as clock
from dataclasses import dataclass

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import InterfaceError, OperationalError, connection

from training.execution.endings import Evidence, ending_of
from training.execution.executor import Exit, Running
from training.execution.executors import executor_here
from training.execution.finalize import job_finalize
from training.execution.system import GIB
from training.jobs.attempts import (
    Conflict,
    Ending,
    attempt_cancelled,
    attempt_failed,
    attempt_hand_back,
    attempt_renew,
    attempt_stopped_early,
    slot_release,
)
from training.jobs.failures import Cause
from training.jobs.lost import attempt_give_up, attempt_lose
from training.jobs.stopping import stopping_early
from training.journal.payloads import Lines, Metrics
from training.journal.writer import Append, commit
from training.models import ErrorType, JobAttempt, JobState, TrainingJob

logger = logging.getLogger(__name__)
POLL_SECONDS = 0.2
STATE_SECONDS = 1.0
KILL_SECONDS = 5.0  # between asking a process whose grace is over to end, and ending it
SHUTDOWN_SECONDS = 15.0  # a worker that shuts down lets its trainer save its last checkpoint
OPEN = (JobState.CLAIMED, JobState.RUNNING, JobState.LOST)


@dataclass(frozen=True, slots=True)
class Stop:
    """Why the trainer is made to end, and how long it has between TERM and KILL."""

    reason: str
    grace: float | None = None  # KILL_SECONDS
    cause: Cause | None = None


def attempt_run(attempt: JobAttempt, stopping: threading.Event) -> None:
    """Run an attempt to its end, whatever that is. `stopping` set means that the worker shuts down: hand it back."""
    try:
        Supervision(attempt, stopping).run()
    except (ValidationError, OSError) as error:
        message = " ".join(error.messages) if isinstance(error, ValidationError) else str(error)
        ending = Ending(ErrorType.CONFIG_ERROR, f"The trainer could not be started: {message}", None, Cause.NOT_STARTED)
        _fail(attempt, ending)
    except Exception as error:
        logger.exception("The supervision of %s broke", attempt)
        _fail(attempt, Ending(ErrorType.UNKNOWN_ERROR, f"The platform's supervisor failed: {error}"))
    finally:
        executor_here().clear(attempt)
        slot_release(attempt)


class Supervision:
    def __init__(self, attempt: JobAttempt, stopping: threading.Event) -> None:
        self.attempt = attempt
        self.stopping = stopping
        self.executor = executor_here()
        self.stopped: Stop | None = None
        self.stop_asked = 0.0
        self.evidence = Evidence()
        self._due: dict[str, float] = {}
        self._memory_limit = (attempt.job.memory_limit_gb or settings.MEMORY_LIMIT_GB) * 1e9
        self._hours = attempt.job.time_limit_hours or settings.TIME_LIMIT_HOURS

    def run(self) -> None:
        running = self.executor.start(self.attempt)
        self.deadline = clock.monotonic() + self._hours * 3600
        try:
            ended = self._watch(running)
        except BaseException:
            running.stop(force=True)
            raise
        running.settle()
        while self._output_store(running):
            continue
        self.evidence = Evidence(running.oom_kills(), self.evidence.memory_share, self.evidence.memory_gib)
        self._conclude(ended, list(running.output.tail))

    def _watch(self, running: Running) -> Exit:
        while (ended := running.poll(POLL_SECONDS)) is None:
            try:
                self._output_store(running)
                self._tend(running)
            except (OperationalError, InterfaceError) as error:  # the trainer trains on, its spool keeps what it says
                logger.warning("The database is away: %s", error)
                connection.close()
                self.stopping.wait(STATE_SECONDS)
        return ended

    def _tend(self, running: Running) -> None:
        self._end_when_over(running)
        if self._is_due("system", settings.SYSTEM_METRICS_SECONDS):
            self._sample(running)
        if self._hangs():
            return  # nobody renews its lease
        if self._is_due("lease", settings.HEARTBEAT_SECONDS):
            if attempt_renew(self.attempt) is None:
                self._stop(running, Stop("this attempt is over", 0.0))
        elif self._is_due("state", STATE_SECONDS):
            self._state_follow(running)
        if clock.monotonic() > self.deadline:
            reason = f"the time limit of {self._hours:g} hours is over"
            self._stop(running, Stop(reason, settings.TERM_GRACE_SECONDS, Cause.TIME_LIMIT))
        if self.stopping.is_set():
            self._stop(running, Stop("the worker shuts down", SHUTDOWN_SECONDS))

    def _state_follow(self, running: Running) -> None:
        job = TrainingJob.objects.get(pk=self.attempt.job_id)
        if job.attempt != self.attempt.number or job.state in (JobState.FAILED, JobState.CANCELLED):
            self._stop(running, Stop("this attempt is over"))
        elif job.state == JobState.CANCELLING or (job.state in OPEN and stopping_early(job, self.attempt.number)):
            self._cancel(running)
        elif job.state == JobState.COMPLETED:  # it has said its last word, and need not stay
            self._due.setdefault("leave", clock.monotonic() + settings.TERM_GRACE_SECONDS)
            if clock.monotonic() > self._due["leave"]:
                self._stop(running, Stop("the job is complete"))
        elif job.state in OPEN and self._silent(running) >= settings.LEASE_SECONDS:
            self._hang(running)

    def _cancel(self, running: Running) -> None:
        """The trainer has a grace to save its last checkpoint; before it has started there is nothing to save."""
        self._due.setdefault("cancel", clock.monotonic())
        self.attempt.refresh_from_db()
        grace = settings.CANCEL_GRACE_SECONDS if self.attempt.started_at else 0.0
        if clock.monotonic() >= self._due["cancel"] + grace:
            self._stop(running, Stop("asked to stop"))

    def _hang(self, running: Running) -> None:
        """It is there and does nothing: lost, asked to end, and ended after a grace."""
        seconds = settings.LEASE_SECONDS
        reason = f"the trainer hangs: its process is there, but has shown no sign of life for {seconds:g} s"
        attempt_lose(self.attempt.job_id, self.attempt.number, "supervisor", reason)
        self._stop(running, Stop(reason, settings.TERM_GRACE_SECONDS, Cause.HANG))

    def _hangs(self) -> bool:
        return self.stopped is not None and self.stopped.cause == Cause.HANG

    def _silent(self, running: Running) -> float:
        return running.silent_seconds() if not self.stopped else 0.0

    def _stop(self, running: Running, stop: Stop) -> None:
        if self.stopped is None:
            self.stopped, self.stop_asked = stop, clock.monotonic()
            running.stop(force=stop.grace == 0.0)

    def _end_when_over(self, running: Running) -> None:
        if self.stopped is None:
            return
        grace = KILL_SECONDS if self.stopped.grace is None else self.stopped.grace
        if clock.monotonic() > self.stop_asked + grace:
            running.stop(force=True)

    def _sample(self, running: Running) -> None:
        values = running.sample()
        if not values:
            return
        self._append_metrics(values)
        gib, share = values.get("system/trainer.memory_gib", 0.0), values.get("system/memory.percent", 0.0) / 100
        if gib >= self.evidence.memory_gib:
            self.evidence = Evidence(0, share, gib)
        if self._memory_limit and gib * GIB > self._memory_limit:
            self._memory_judge(running)

    def _memory_judge(self, running: Running) -> None:
        """The sample counts shared pages for each process that has them; before the end it is counted right."""
        used = running.memory()
        if used > self._memory_limit:
            reason = f"{used / 1e9:.2f} GB of memory in use, {self._memory_limit / 1e9:g} GB are allowed"
            self._stop(running, Stop(reason, settings.TERM_GRACE_SECONDS, Cause.MEMORY_LIMIT))

    def _conclude(self, ended: Exit, tail: list[str]) -> None:
        if ended.hung and self.stopped is None:
            self.stopped = Stop(ended.hung, cause=Cause.HANG)
        job = TrainingJob.objects.get(pk=self.attempt.job_id)
        if job.attempt == self.attempt.number and job.state in OPEN:
            self.executor.drain(self.attempt)
        if self._ended_as_asked(ended):
            attempt_stopped_early(job.pk, self.attempt.number)
        job_finalize(self.attempt.job_id, self.attempt.number, wait=True)
        number = self.attempt.number
        if ended.gone and not self.stopped:
            attempt_give_up(self.attempt, "worker", ended.gone)
        elif self._hangs():
            attempt_give_up(self.attempt, "worker", "the trainer that hung was ended", Cause.HANG)
        elif self.stopping.is_set() and self.stopped and not self.stopped.cause:
            attempt_hand_back(job.pk, number, self.stopped.reason)
        try:
            attempt_cancelled(job.pk, number, "supervisor")
            attempt_failed(job.pk, number, self._ending(ended, tail), "supervisor")
        except Conflict:  # it has been queued again, or a newer attempt runs
            logger.info("%s had ended already", self.attempt)

    def _ended_as_asked(self, ended: Exit) -> bool:
        """Whether the trainer ended without a word, or was ended, because of what we asked of it; not by an error."""
        return self.stopped.reason == "asked to stop" if self.stopped else ended.code == 0

    def _ending(self, ended: Exit, tail: list[str]) -> Ending:
        if self.stopped is not None and self.stopped.cause is not None:
            return Ending(ErrorType.RESOURCE_ERROR, f"Stopped: {self.stopped.reason}.", ended.code, self.stopped.cause)
        return ending_of(ended, tail, self.evidence)

    def _is_due(self, what: str, seconds: float) -> bool:
        now = clock.monotonic()
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + seconds
        return True

    def _append_metrics(self, values: dict[str, float]) -> None:
        names = tuple(values)
        packed = struct.pack(f"<{len(names)}d", *values.values())
        self._append([Metrics(None, clock.time(), None, None, names, packed)])

    def _output_store(self, running: Running) -> bool:
        lines = running.output.take()
        if lines:
            self._append([Lines(None, lines)])
        return bool(lines)

    def _append(self, items: list[Metrics | Lines]) -> None:
        commit([Append(self.attempt.job_id, self.attempt.number, items, after_end=True)])


def _fail(attempt: JobAttempt, ending: Ending) -> None:
    try:
        attempt_failed(attempt.job_id, attempt.number, ending, "supervisor")
    except Conflict:
        logger.info("%s had ended already", attempt)
