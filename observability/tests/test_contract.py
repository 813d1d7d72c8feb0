"""The contract of an adapter, for every one that is found: what the backend has is what the journal says.

Each needs `tests/backends/NAME.py` with `backend(folder)`, a context manager that
gives the variables which reach a real backend, and `read(experiment_id, variables)`,
which reads its points without the adapter. A backend that maps names says by
`key(name)` how it writes one, or has its mapping in the adapter's module as NAMES.
`signed_zero = False` where it can't tell -0.0 from 0.0, `readable = False` where its
adapter can't read it. A second way to reach one (WAYS) names its adapter as ADAPTER.
"""

import importlib
import itertools
import math
import os
import random
import signal
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from observability import ledger
from observability.base import Adapter, Losses
from observability.calls import caller_of
from observability.discovery import Found, find
from observability.examples import jsonlines
from observability.models import Delivery
from observability.tests.adapter_cast import NAMES, VALUES, job_facts, value_held
from observability.tests.conftest import Configure
from observability.tests.faulty import drain, end
from training.journal.payloads import Item, Metrics
from training.journal.reader import records_after
from training.models import Checkpoint, JobAttempt, JobState, RecordKind, TrainingJob
from training.tests.journal_entries import TIME, event, lines, tell

EXAMPLE = Path(jsonlines.__file__)
FOUND = {name: found for name, found in find([EXAMPLE]).items() if found.adapter is not None}
WAYS = (*sorted(FOUND), "wandb_online")
OUTSIDE = [way for way in WAYS if way != "database"]  # in processes of their own, which may be killed
Told = Callable[..., TrainingJob]
Point = tuple[int, float, float]
numbers = itertools.count(1000)  # jobs of their own: a backend outlives the database of a test
pytestmark = [pytest.mark.django_db, pytest.mark.timeout(300), pytest.mark.once]


@dataclass
class Backend:
    """A real backend, and the adapter that is to fill it."""

    found: Found
    variables: Mapping[str, str]
    module: ModuleType

    @property
    def signed_zero(self) -> bool:
        return bool(getattr(self.module, "signed_zero", True))

    @property
    def readable(self) -> bool:
        return bool(getattr(self.module, "readable", not self.adapter.losses.no_points))

    @property
    def adapter(self) -> type[Adapter]:
        assert self.found.adapter is not None
        return self.found.adapter

    def key(self, name: str) -> str:
        mapping = getattr(sys.modules[self.adapter.__module__], "NAMES", None)
        known = getattr(self.module, "key", None) or (mapping.encode if mapping else str)
        return str(known(name))

    def read(self, job: TrainingJob) -> dict[str, list[Point]]:
        delivery = Delivery.objects.get(job=job, backend=self.found.name)
        return self.module.read(delivery.experiment_id, self.variables)


@pytest.fixture(scope="module", params=WAYS)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    module = importlib.import_module(f"observability.tests.backends.{request.param}")
    with module.backend(tmp_path_factory.mktemp(request.param)) as variables:
        yield Backend(FOUND[getattr(module, "ADAPTER", request.param)], dict(variables), module)


@pytest.fixture
def backend(running: Backend, configure: Configure, monkeypatch: pytest.MonkeyPatch) -> Backend:
    for name, value in running.variables.items():
        monkeypatch.setenv(name, value)
    configure(running.found.name, places=(EXAMPLE,))
    return running


@pytest.fixture
def job(told_job: Told, backend: Backend) -> TrainingJob:
    config = {"epochs": 3, "lr0": 0.01, "name": "한글 'quoted'", "nested": {"a": [1, None]}, "flag": True, "empty": ""}
    config["long (한글)"] = "값" * 9000
    made = told_job(backend.found.name, config=config, pk=next(numbers))
    attempt = JobAttempt.objects.create(job=made, number=1, opened_at=timezone.now(), lease_until=timezone.now())
    facts: dict[str, Any] = {"kind": "best", "epoch": 2, "key": f"{made.pk}", "size": 7, "sha256": "a" * 64}
    Checkpoint.objects.create(job=made, attempt=attempt, **facts)
    return made


def report(step: int | None, moment: float, values: Mapping[str, float]) -> Metrics:
    packed = struct.pack(f"<{len(values)}d", *values.values())
    return Metrics(None, TIME + moment, step, None if step is None else step // 10, tuple(values), packed)


def story() -> list[Item]:
    """All that a backend may stumble over: odd names and values, steps that go back, equal points, lines, a file."""
    items: list[Item] = []
    for step, value in enumerate([1e-40, 2.5, -7.25, *VALUES]):
        items.append(report(step, step * 0.25, {NAMES[0]: value, NAMES[1]: step / 10}))
        items.append(report(step, step * 0.25 + 0.125, {name: float(step) for name in NAMES[2:]}))
    items.append(lines("a line", "\x1b[31mred\x1b[0m 빨강"))
    items += [report(step, 10 + step, {NAMES[0]: step / 7}) for step in (20, 5, 6, 21)]
    items.append(event(type="checkpoint", kind="best", epoch=2, size=7))
    items += [report(30, 40.0, {NAMES[0]: 1.5})] * 2
    return items


def journal(job: TrainingJob) -> dict[str, list[Point]]:
    """(step, time, value) of each point of a job by name, in the journal's order."""
    points: dict[str, list[Point]] = {}
    for record in records_after(job.pk, 0, 100_000, [RecordKind.METRICS]):
        for name, value in zip(record.names, record.values, strict=True):
            points.setdefault(name, []).append((record.step or 0, record.time, value))
    return points


def held(points: list[Point], losses: Losses) -> list[Point]:
    """What remains of a series in a backend with these losses."""
    kept: list[Point] = []
    for step, time, value in points:
        if losses.drops_nonfinite and not math.isfinite(value):
            continue
        if losses.drops_steps_back and kept and step < kept[-1][0]:
            continue
        kept.append((step, time, value_held(value, losses)))
    if losses.drops_nonfinite:  # what a narrower float can't hold is gone as well
        kept = [point for point in kept if math.isfinite(point[2])]
    if losses.merges_equal_steps:
        kept = list({point[0]: point for point in kept}.values())
    return [
        (step, 0.0 if losses.no_time else round(time, 3 if losses.milliseconds else 6), value)
        for step, time, value in kept
    ]


def comparable(points: list[Point], losses: Losses, signed_zero: bool = True) -> list[tuple[Any, ...]]:
    """Points as texts, so that NaN equals NaN; sorted where the backend keeps a set and no order."""
    moments = 3 if losses.milliseconds else 6
    rows = [
        (step, 0.0 if losses.no_time else round(time, moments), repr(value if signed_zero else value + 0.0))
        for step, time, value in points
    ]
    merges = losses.merges_equal_points or losses.merges_equal_steps
    return sorted(set(rows)) if merges else rows


def assert_holds(backend: Backend, job: TrainingJob, read: dict[str, list[Point]] | None = None) -> None:
    losses = backend.adapter.losses
    found = backend.read(job) if read is None else read
    if losses.no_points:
        assert found == {}
        return
    said = journal(job)
    assert set(found) == {backend.key(name) for name in said}
    for name, points in said.items():
        there = found[backend.key(name)]
        zero = backend.signed_zero
        assert comparable(there, losses, zero) == comparable(held(points, losses), losses, zero), name
        if losses.merges_equal_points:
            assert len(there) == len(set(comparable(there, losses))), f"{name} is doubled"


def test_a_story_arrives_point_by_point(backend: Backend, job: TrainingJob, lane: Any) -> None:
    tell(job, *story())
    ledger.deliveries_open()
    drain(lane(backend.found.name))
    assert_holds(backend, job)
    end(job)
    drain(lane(backend.found.name))
    delivery = Delivery.objects.get(job=job, backend=backend.found.name)
    assert (delivery.state, delivery.last_error) == ("finished", "")
    assert_holds(backend, job)


def test_what_the_adapter_reads_is_what_is_there(backend: Backend, job: TrainingJob, lane: Any) -> None:
    tell(job, *story())
    ledger.deliveries_open()
    drain(lane(backend.found.name))
    caller = caller_of(backend.found)
    try:
        caller.open(lambda: None)
        experiment = Delivery.objects.get(job=job, backend=backend.found.name).experiment_id
        found = caller.call("get_metrics", [experiment, [*NAMES, "not/there"]], {}, lambda: None)
        assert caller.call("check", [], {}, lambda: None) is not None
    finally:
        caller.close()
    assert (found is not None) == backend.readable
    if found is not None:
        assert found.pop("not/there") == []
        assert_holds(backend, job, {backend.key(name): [tuple(p) for p in points] for name, points in found.items()})


def test_an_experiment_is_found_again_and_is_nobody_elses(backend: Backend) -> None:
    """Also after a crash that took its state along; and two platforms with the same numbers do not meet."""
    ours, another, theirs = job_facts(7), job_facts(8), job_facts(7, created=1_500_000_000.0)
    caller = caller_of(backend.found)
    try:
        caller.open(lambda: None)
        made = [caller.call("create_experiment", [job], {}, lambda: None) for job in (ours, another, theirs, ours)]
    finally:
        caller.close()
    shared = backend.adapter.in_process or backend.adapter.losses.no_points  # lines are told apart by LOKI_LABELS
    assert made[0] == made[3] and len(set(made)) == (2 if shared else 3)


@pytest.mark.parametrize("crash", [1, 2, 3, 4, 5])
def test_a_crash_between_the_send_and_the_cursor_doubles_nothing(
    backend: Backend, job: TrainingJob, lane: Any, monkeypatch: pytest.MonkeyPatch, crash: int
) -> None:
    monkeypatch.setattr(backend.adapter, "batch_points", 20)
    tell(job, *story())
    ledger.deliveries_open()
    moves, move = itertools.count(1), ledger.move

    def cut(delivery: Delivery, **fields: Any) -> None:
        if next(moves) == crash:
            Delivery.objects.filter(pk=delivery.pk).update(lease_until=None, lease_token="")
        move(delivery, **fields)

    monkeypatch.setattr(ledger, "move", cut)
    drain(lane(backend.found.name))
    assert next(moves) > crash
    assert_holds(backend, job)


@pytest.mark.parametrize("running", OUTSIDE, indirect=True)
def test_a_process_that_is_killed_at_any_moment_doubles_and_loses_nothing(
    backend: Backend, job: TrainingJob, lane: Any
) -> None:
    """kill -9 during, or just after, the first call of each part of the run."""
    moments, one, delivery = random.Random(4), lane(backend.found.name), Delivery.objects.filter(job=job)
    ledger.deliveries_open([job.pk])
    for part in (story()[:15], story()[15:]):
        reached = tell(job, *part)
        one._opened(delivery.get(backend=backend.found.name))
        killer = threading.Timer(moments.uniform(0, 0.04), os.kill, [one._caller._process.pid, signal.SIGKILL])
        killer.start()
        while delivery.get(backend=backend.found.name).seq < reached:
            drain(one)
            ledger.retry(delivery)
        killer.join()
    assert_holds(backend, job)


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED])
def test_a_second_attempt_goes_on_in_the_same_experiment(
    backend: Backend, job: TrainingJob, lane: Any, state: JobState
) -> None:
    """Also when the end was told twice, as after a crash."""
    tell(job, *[report(step, float(step), {"loss": step / 3}) for step in range(10)])
    ledger.deliveries_open()
    drain(lane(backend.found.name))
    before = Delivery.objects.get(job=job, backend=backend.found.name).experiment_id
    for _ in range(2):
        Delivery.objects.update(finalized_seq=0)
        TrainingJob.objects.filter(pk=job.pk).update(state=state, error_message="out of memory" * 1000, ended_at=Now())
        drain(lane(backend.found.name))
    TrainingJob.objects.filter(pk=job.pk).update(state="running", attempt=2, ended_at=None)
    tell(job, *[report(step, 100.0 + step, {"loss": step / 5}) for step in range(6, 12)])
    drain(lane(backend.found.name))
    end(job)
    drain(lane(backend.found.name))
    assert Delivery.objects.get(job=job, backend=backend.found.name).experiment_id == before
    if backend.found.name != "database":  # its summaries leave out what the second attempt has replaced
        assert_holds(backend, job)


def test_losses_are_what_they_say() -> None:
    series = [(1, 0.00049, math.nan), (2, 1.0, 1e300), (1, 2.0, 0.1)]
    assert held(series, Losses(drops_nonfinite=True, drops_steps_back=True)) == [(2, 1.0, 1e300)]
    assert held(series, Losses(float32=True, no_time=True))[1:] == [(2, 0.0, math.inf), (1, 0.0, 0.10000000149011612)]
    assert held(series, Losses(merges_equal_steps=True)) == [(1, 2.0, 0.1), (2, 1.0, 1e300)]
