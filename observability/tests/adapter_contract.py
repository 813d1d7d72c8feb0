"""What every adapter must do with its real backend: subclassed by each adapter's test module."""

import inspect
import os
import random
import signal
import threading
from pathlib import Path
from typing import Any, ClassVar

import pytest

from observability.base import Adapter, AdapterError, Ending, Report, State
from observability.calls import ChildCaller
from observability.discovery import Found
from observability.tests.adapter_cast import comparable, expected, job_facts, opened, reports, stored

Config = dict[str, str]


class AdapterContract:
    """The module has a fixture `config` with the variables that reach the backend; each test has a job of its own."""

    adapter: ClassVar[type[Adapter]]
    backend: ClassVar[Any]  # has `read`
    signed_zero: ClassVar[bool] = True
    readable: ClassVar[bool] = True
    _jobs: ClassVar[list[int]] = [100]

    def encode(self, name: str) -> str:
        """The name under which the backend has it."""
        return name

    def job(self) -> Any:
        self._jobs[0] += 1
        return job_facts(self._jobs[0])

    def is_there(self, sent: list[Report], experiment: str, config: Config) -> None:
        """The backend has exactly what was sent, by its own word and by the adapter's."""
        wanted = comparable(expected(sent, self.adapter.losses), self.signed_zero)
        found = comparable(self.backend.read(experiment, config), self.signed_zero)
        assert found == {self.encode(name): points for name, points in wanted.items()}
        told = opened(self.adapter, config).get_metrics(experiment, [*wanted, "not/there"])
        assert (told is not None) == self.readable
        assert told is None or comparable(told, self.signed_zero) == {**wanted, "not/there": []}

    def test_it_is_reachable(self, config: Config) -> None:
        assert opened(self.adapter, config).check()

    def test_an_experiment_is_found_again(self, config: Config) -> None:
        adapter, job, state = opened(self.adapter, config), self.job(), {}
        experiment = adapter.create_experiment(job, state)
        assert adapter.create_experiment(job, state) == experiment
        assert opened(self.adapter, config).create_experiment(job, {}) == experiment, "its state was lost with a crash"
        assert adapter.create_experiment(self.job(), {}) != experiment

    def test_two_platforms_with_the_same_numbers_do_not_meet(self, config: Config) -> None:
        adapter = opened(self.adapter, config)
        ours, theirs = job_facts(7), job_facts(7, created=1_500_000_000.0)
        assert adapter.create_experiment(ours, {}) != adapter.create_experiment(theirs, {})

    def test_two_attempts_arrive_point_by_point(self, config: Config) -> None:
        adapter, state = opened(self.adapter, config), {}
        experiment = adapter.create_experiment(self.job(), state)
        adapter.log_parameters(
            experiment, {"epochs": 3, "lr": 0.01, "flag": True, "none": None, "list": [1, "가"]}, state
        )
        sent = [*reports(30), *reports(25, first=31, attempt=2, first_step=20)]
        for batch in (sent[:7], sent[7:8], sent[8:40], sent[40:]):
            adapter.log_metrics(experiment, batch, state)
            state = stored(state)
        self.is_there(sent, experiment, config)

    def test_a_call_that_is_repeated_with_the_old_state_doubles_nothing(self, config: Config) -> None:
        """The process was killed between the send and the moving of the cursor; the next batch may be longer."""
        adapter, state, sent = opened(self.adapter, config), {}, reports(40)
        experiment = adapter.create_experiment(self.job(), state)
        adapter.log_metrics(experiment, sent[:10], state)
        before = stored(state)
        adapter.log_metrics(experiment, sent[10:20], state)
        state = before
        again = opened(self.adapter, config)
        again.log_metrics(experiment, sent[10:30], state)
        again.log_metrics(experiment, sent[30:], state)
        self.is_there(sent, experiment, config)

    def test_settings_and_links_may_be_repeated(self, config: Config) -> None:
        adapter, state, sent = opened(self.adapter, config), {}, reports(3)
        experiment = adapter.create_experiment(self.job(), state)
        for _ in range(2):
            adapter.log_parameters(experiment, {"lr": 0.01, "한글 (이름)": "값" * 9000}, stored(state))
        adapter.log_parameters(experiment, {"lr": 0.01, "한글 (이름)": "값" * 9000}, state)
        adapter.log_metrics(experiment, sent, state)
        for _ in range(2):
            adapter.log_artifact(experiment, "best", "http://127.0.0.1:8000/c/1", {"epoch": 3}, stored(state))
        self.is_there(sent, experiment, config)

    @pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
    def test_a_job_that_has_ended_may_go_on(self, config: Config, status: str) -> None:
        adapter, state, sent = opened(self.adapter, config), {}, reports(12)
        experiment = adapter.create_experiment(self.job(), state)
        adapter.log_metrics(experiment, sent[:5], state)
        for _ in range(2):
            adapter.finalize(experiment, Ending(status, {"train/box_loss": 0.1}, "out of memory" * 1000), stored(state))
        adapter.finalize(experiment, Ending(status, {}, ""), state)
        state = stored(state)
        adapter.log_metrics(experiment, sent[5:], state)
        adapter.finalize(experiment, Ending("completed"), state)
        self.is_there(sent, experiment, config)

    def test_a_process_that_is_killed_at_any_moment_doubles_and_loses_nothing(
        self, config: Config, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The adapter in its own process, as the delivery runs it; kill -9 during, or just after, each first try."""
        for name, value in config.items():
            monkeypatch.setenv(name, value)
        path = Path(inspect.getfile(self.adapter))
        caller, state, sent = ChildCaller(Found(self.adapter.name, path, self.adapter)), {}, reports(60)
        moments = random.Random(4)
        try:
            experiment = caller.call("create_experiment", [self.job()], state, _no_tick)
            for start in range(0, 60, 20):
                state = self.told_once(caller, [experiment, sent[start : start + 20]], state, moments.uniform(0, 0.04))
        finally:
            caller.close()
        self.is_there(sent, experiment, config)

    def told_once(self, caller: ChildCaller, arguments: list[Any], state: State, delay: float) -> State:
        """Tell it, kill the process meanwhile, and tell it again with the old state if there was no answer."""
        caller.open(_no_tick)
        assert caller._process is not None
        killer = threading.Timer(delay, os.kill, [caller._process.pid, signal.SIGKILL])
        killer.start()
        after = stored(state)
        try:
            caller.call("log_metrics", arguments, after, _no_tick)
        except AdapterError as error:
            assert not error.permanent
            after = stored(state)
            killer.join()
            caller.call("log_metrics", arguments, after, _no_tick)
        killer.join()
        caller.close()
        return after


def _no_tick() -> None:
    """Nothing to renew: no lease is held."""
