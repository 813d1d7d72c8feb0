"""Roll-ups: made once, exact at every zoom, whatever was said, and stitched with what is not rolled up yet."""

import math
import random
import struct

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from training.jobs.series import job_series, window_series
from training.journal import rollup
from training.journal.payloads import Item, Metrics
from training.journal.rollup import BLOCK, rolled_up, rollup_update
from training.journal.window import Line, Window, window_lines
from training.models import MetricSeries, RollUp, TrainingJob
from training.tests.journal_entries import TIME, lines, metrics, tell

pytestmark = pytest.mark.django_db


def steady(first: int, last: int, spike: int = -1) -> list[Item]:
    return [metrics(step=n, time=TIME + n, loss=99.0 if n == spike else math.sin(n)) for n in range(first, last + 1)]


def line_of(job: TrainingJob, window: Window | None = None, most: int = 1000, name: str = "loss") -> Line:
    (line,) = window_lines(job.pk, [name], window or Window(), most)
    return line


def totals(line: Line) -> tuple[int, float, float]:
    return int(line.buckets["count"].sum()), float(line.buckets["low"].min()), float(line.buckets["high"].max())


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buckets of 4, 16 and 64 records, so that all levels and open ends occur in a short journal."""
    from training.journal import window

    for module in (rollup, window):
        monkeypatch.setattr(module, "FANOUT", 4)
        monkeypatch.setattr(module, "BLOCK", 16)
    monkeypatch.setattr(window, "FINE_ROWS", 3)


def test_nothing_is_rolled_up_before_a_block_is_whole(job: TrainingJob) -> None:
    tell(job, *steady(1, BLOCK - 1))
    assert rollup_update(job.pk) == 0 and not RollUp.objects.exists()
    tell(job, *steady(BLOCK, BLOCK))
    assert rollup_update(job.pk) == 1 and rollup_update(job.pk) == 0
    assert rolled_up(job.pk) == BLOCK and RollUp.objects.count() == 1


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("length", [1, 15, 16, 17, 63, 64, 65, 255, 256, 300, 1100, 1300])
def test_every_window_holds_every_point_at_every_length(job: TrainingJob, length: int) -> None:
    tell(job, *steady(1, length))
    rollup_update(job.pk)
    assert totals(line_of(job))[0] == length
    chance = random.Random(length)
    for _ in range(12):
        start, end = sorted(chance.choices(range(1, length + 1), k=2))
        count, low, high = totals(line_of(job, Window("step", start, end)))
        wanted = [math.sin(n) for n in range(start, end + 1)]
        assert count >= len(wanted) and low <= min(wanted) and high >= max(wanted)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("axis", ["step", "time"])
def test_a_spike_is_seen_from_afar_and_found_by_zooming(job: TrainingJob, axis: str) -> None:
    tell(job, *steady(1, 3000, spike=1777))
    rollup_update(job.pk)
    zero = TIME if axis == "time" else 0
    assert totals(line_of(job, most=50))[2] == 99.0
    near = line_of(job, Window(axis, zero + 1770, zero + 1780))
    assert near.exact and near.buckets["high_step"][np.argmax(near.buckets["high"])] == 1777
    assert totals(line_of(job, Window(axis, zero + 1, zero + 1700)))[2] < 2


@pytest.mark.usefixtures("small")
def test_what_is_not_finite_is_counted_by_kind_and_spoils_no_figure(job: TrainingJob) -> None:
    for value in (math.nan, math.inf, -math.inf, 1.5):
        tell(job, *(metrics(step=n, loss=value) for n in range(50)))
    rollup_update(job.pk)
    found = line_of(job).buckets
    assert [int(found[kind].sum()) for kind in ("nan", "positive", "negative", "count")] == [50] * 4
    assert totals(line_of(job)) == (50, 1.5, 1.5)


@pytest.mark.usefixtures("small")
def test_sparse_metrics_other_lists_and_log_lines_between_them_lose_nothing(job: TrainingJob) -> None:
    said: list[Item] = []
    for n in range(700):
        said += [metrics(step=n, loss=1.0, lr=0.1), lines("hello")] if n % 3 else [metrics(step=n, loss=2.0)]
        said += [metrics(step=n, score=n / 700)] if n % 97 == 0 else []
    tell(job, *said)
    rollup_update(job.pk)
    assert totals(line_of(job)) == (700, 1.0, 2.0)
    assert totals(line_of(job, name="score"))[0] == 8
    assert totals(line_of(job, name="lr"))[0] == 466


@pytest.mark.usefixtures("small")
def test_steps_that_go_back_are_in_the_windows_that_hold_them(job: TrainingJob) -> None:
    tell(job, *steady(1, 200), *steady(50, 90, spike=60))
    rollup_update(job.pk)
    assert totals(line_of(job, Window("step", 55, 65)))[2] == 99.0


@pytest.mark.usefixtures("small")
def test_two_processes_at_once_make_each_block_once(job: TrainingJob, monkeypatch: pytest.MonkeyPatch) -> None:
    tell(job, *steady(1, 40))
    columns, first = rollup.metric_columns, [True]

    def slow(*args: int, **bounds: int) -> object:
        found = columns(*args, **bounds)
        if first.pop() if first else False:
            assert rollup_update(job.pk) == 2  # the other one, while this one has read
        return found

    monkeypatch.setattr(rollup, "metric_columns", slow)
    rollup_update(job.pk)
    assert totals(line_of(job))[0] == 40 and RollUp.objects.filter(level=1).count() == 2


@pytest.mark.usefixtures("small")
def test_each_attempt_has_lines_of_its_own(job: TrainingJob) -> None:
    tell(job, *steady(1, 100))
    TrainingJob.objects.filter(pk=job.pk).update(attempt=1)
    tell(job, *steady(51, 120))
    rollup_update(job.pk)
    found = window_lines(job.pk, None, Window(), 1000)
    assert [(line.attempt, totals(line)[0]) for line in found] == [(0, 100), (1, 70)]
    assert set(MetricSeries.objects.values_list("attempt", flat=True)) == {0, 1}


def test_the_cost_of_a_window_does_not_grow_with_the_series(job: TrainingJob) -> None:
    counts = []
    for _ in range(2):
        tell(job, *steady(1, 2 * BLOCK + 10))
        rollup_update(job.pk)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            window_series(job.pk, ["loss"], Window(), 500)
        counts.append(len(queries))
    assert counts[0] <= 12 and counts[1] <= 12


def test_a_board_of_a_long_run_is_condensed_and_goes_on_from_the_head(job: TrainingJob) -> None:
    seq = tell(job, *steady(1, BLOCK * 3 + 100, spike=5000))
    rollup_update(job.pk)
    series = job_series(job.pk)
    (block,) = series["blocks"]
    assert series["seq"] == seq == block["seq"][-1] and block["step"][-1] == BLOCK * 3 + 100
    assert len(block["values"][0]) <= 1000 and max(block["high"][0]) == 99.0


def test_metrics_in_one_list_share_their_places(job: TrainingJob) -> None:
    values = struct.pack("<3d", 1.0, 2.0, 3.0)
    tell(job, *(Metrics(None, TIME + n, n, None, ("a", "b", "c"), values) for n in range(BLOCK * 3)))
    rollup_update(job.pk)
    (block,) = window_series(job.pk, None, Window(), 100)["blocks"]
    assert block["names"] == ["a", "b", "c"] and [column[0] for column in block["low"]] == [1.0, 2.0, 3.0]


def test_small_windows_are_raw_points(job: TrainingJob) -> None:
    tell(job, *steady(1, BLOCK * 4))
    rollup_update(job.pk)
    (block,) = window_series(job.pk, ["loss"], Window("step", 9000, 9050), 500)["blocks"]
    assert "low" not in block and block["step"] == list(range(9000, 9051))
