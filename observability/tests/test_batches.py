"""Batches are halved where they are too much for a backend, grow back, and the item that is refused is named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from observability import ledger
from observability.batches import BatchSize
from observability.lanes import Lane
from observability.models import Delivery, DeliveryState
from observability.tests.conftest import Configure
from observability.tests.faulty import calls, drain, points, write
from observability.tests.test_faults import wait_until
from training.models import TrainingJob
from training.tests.journal_entries import lines, metrics, tell

Told = Callable[..., TrainingJob]
Lanes = Callable[[str], Lane]
BATCHES = "batch_points, takes_lines = 200, True"
SLOW = "time.sleep(0.025 * self.held if call == 'log_metrics' and not Path(self.file.parent, 'quick').exists() else 0)"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CALLS_DIR", str(tmp_path))
    return tmp_path


def sizes(folder: Path, name: str) -> list[int]:
    return [sum(len(row[6]) for row in call[2]) for call in calls(folder, name) if call[0] == "log_metrics"]


@pytest.mark.django_db
def test_a_backend_that_is_too_slow_for_a_batch_gets_smaller_ones_and_larger_ones_when_it_is_quick_again(
    folder: Path, settings: Any, told_job: Told, configure: Configure, lane: Lanes
) -> None:
    settings.DELIVERY_CALL_SECONDS = 2
    configure("slow", places=(write(folder, "slow", SLOW, BATCHES),))
    job = told_job("slow")
    tell(job, *[metrics(step, loss=float(step)) for step in range(200)])
    ledger.deliveries_open()
    there = Delivery.objects.filter(backend="slow", state=DeliveryState.CAUGHT_UP)
    wait_until(lambda: drain(lane("slow")) or there.exists(), 120)
    assert [row[2] for row in points(folder, "slow")] == list(range(200))
    assert there.get().halvings >= 2 and max(sizes(folder, "slow")) <= 50
    (folder / "quick").touch()
    settings.DELIVERY_CALL_SECONDS = 60
    tell(job, *[metrics(step, loss=float(step)) for step in range(200, 1000)])
    wait_until(lambda: drain(lane("slow")) or there.exists(), 120)
    assert [row[2] for row in points(folder, "slow")] == list(range(1000))
    assert there.get().halvings == 0 and sizes(folder, "slow")[-2] == 200


@pytest.mark.django_db
def test_a_batch_that_is_too_large_is_sent_in_smaller_ones_at_once(
    folder: Path, told_job: Told, configure: Configure, lane: Lanes
) -> None:
    trouble = "if getattr(self, 'held', 0) > 30 and call.startswith('log_'): raise AdapterError('413', batch=True)"
    configure("small", places=(write(folder, "small", trouble, BATCHES),))
    job = told_job("small")
    wide = {f"m{number}": 1.0 for number in range(45)}
    tell(job, lines(*map(str, range(100))), *[metrics(step, loss=1.0) for step in range(99)], metrics(99, **wide))
    ledger.deliveries_open()
    drain(lane("small"))
    delivery = Delivery.objects.get(backend="small")
    assert (delivery.state, delivery.last_error, delivery.points) == ("caught_up", "", 144)
    assert [row[2] for row in points(folder, "small") if len(row[6]) == 1][:99] == list(range(99))
    assert [name for row in points(folder, "small")[99:] for name in row[5]] == list(wide)
    said = [line for call in calls(folder, "small") if call[0] == "log_lines" for _, line in call[2]]
    assert said == list(map(str, range(100)))


@pytest.mark.django_db
def test_the_one_point_that_is_refused_is_named_and_everything_before_it_is_there(
    folder: Path, told_job: Told, configure: Configure, lane: Lanes
) -> None:
    bad = "any(v == 7.5 for r in self.items for v in r.values)"
    trouble = f"if call == 'log_metrics' and {bad}: raise AdapterError('no halves', permanent=True, batch=True)"
    configure("picky", places=(write(folder, "picky", trouble, BATCHES),))
    job = told_job("picky")
    tell(job, *[metrics(step, a=float(step), b=7.5 if step == 57 else 0.0) for step in range(80)])
    ledger.deliveries_open()
    drain(lane("picky"))
    delivery = Delivery.objects.get(backend="picky")
    assert (delivery.state, delivery.seq) == ("paused", 57)
    assert delivery.last_error == "record 58 (attempt 1, step 57: b = 7.5): no halves"
    assert [row[2] for row in points(folder, "picky")][:57] == list(range(57))
    assert len(Delivery.objects.filter(backend="picky", halvings__gt=0)) == 1


@pytest.mark.django_db
def test_the_one_line_that_is_refused_is_named(folder: Path, told_job: Told, configure: Configure, lane: Lanes) -> None:
    bad = "any(line.message == 'bad' for line in self.items)"
    trouble = f"if call == 'log_lines' and {bad}: raise AdapterError('no', permanent=True, batch=True)"
    configure("picky", places=(write(folder, "picky", trouble, BATCHES),))
    job = told_job("picky")
    tell(job, metrics(1, loss=1.0), lines("one", "two", "three"), lines("four", "bad"), lines("five"))
    ledger.deliveries_open()
    drain(lane("picky"))
    delivery = Delivery.objects.get(backend="picky")
    assert delivery.last_error == "a line of record 3 (info, trainer: 'bad'): no"
    assert (delivery.state, delivery.metrics_seq, delivery.lines_seq, delivery.points) == ("paused", 4, 2, 1)


def test_a_size_falls_before_a_call_is_given_up_and_rises_where_full_calls_are_quick() -> None:
    size = BatchSize(1000, seconds=30)
    size.answered(1000, size.points, 16)
    assert size.points == 500
    size.answered(500, size.points, 8)
    assert size.points == 500, "between a quarter and a half it stays"
    size.answered(100, size.points, 0.1)
    assert size.points == 500, "a small batch tells nothing of a large one"
    size.answered(500, size.points, 7)
    assert size.points == 1000
    size.halve(3, size.points)
    assert size.points == 1
    size.answered(1, size.points, 0.1)
    assert size.points == 3


def test_a_size_does_not_grow_back_to_what_was_refused_in_the_same_turn() -> None:
    size = BatchSize(1000, seconds=30)
    size.refuse(1000, size.points)
    size.answered(500, size.points, 0.1)
    assert size.points == 500
    size.halve(1, size.points)
    assert size.points == 500
