"""Reading jobs for pages: progress, points that count, condensed series, windows of the log."""

import json
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from training.jobs import series
from training.jobs.latest import metrics_latest
from training.jobs.lines import LineFilter, Place, first_error, line_window, newest_between
from training.jobs.selectors import job_events, job_rows, job_status, jobs_visible
from training.jobs.series import board_series, job_series, strict_dumps
from training.models import JobAttempt, JobState, LogLevel, Role, TrainingJob
from training.people.roles import Action, allowed
from training.tests.conftest import job_make, person
from training.tests.journal_entries import event, lines, metrics, named, tell

pytestmark = pytest.mark.django_db


def attempt_make(job: TrainingJob, number: int = 1, **fields: object) -> JobAttempt:
    now = timezone.now()
    TrainingJob.objects.filter(pk=job.pk).update(attempt=number)
    return JobAttempt.objects.create(job=job, number=number, opened_at=now, lease_until=now, **fields)


def test_a_stranger_sees_no_job(cast: SimpleNamespace, job: TrainingJob) -> None:
    assert list(jobs_visible(cast.teammate)) == [job]
    assert not jobs_visible(cast.stranger).exists()


def test_progress_follows_steps_and_then_epochs(cast: SimpleNamespace) -> None:
    job = job_make(cast, JobState.RUNNING)
    attempt = attempt_make(job, total_steps=200, total_epochs=10)
    tell(job, metrics(step=50, epoch=3, train__loss=1.0))
    assert job_status(job.pk).progress.fraction == 0.25  # type: ignore[union-attr]
    JobAttempt.objects.filter(pk=attempt.pk).update(total_steps=None)
    assert job_status(job.pk).progress.fraction == 0.3  # type: ignore[union-attr]


def test_the_time_left_is_told_by_the_recent_rate(cast: SimpleNamespace) -> None:
    job = job_make(cast, JobState.RUNNING)
    attempt_make(job, total_steps=100, started_at=timezone.now())
    now = timezone.now().timestamp()
    tell(job, metrics(step=10, time=now - 20, train__loss=1.0), metrics(step=30, time=now, train__loss=1.0))
    status = job_status(job.pk)
    assert status is not None and status.progress.remaining == pytest.approx(70, abs=2)


def test_a_spike_survives_condensing(job: TrainingJob) -> None:
    tell(job, *(metrics(step=step, train__loss=99.0 if step == 7777 else 1.0) for step in range(10_000)))
    (block,) = job_series(job.pk)["blocks"]
    assert len(block["values"][0]) == 1000
    assert max(block["high"][0]) == 99.0 and min(block["low"][0]) == 1.0


def test_a_condensed_series_says_where_values_are_not_finite(job: TrainingJob) -> None:
    tell(job, *(metrics(step=step, train__loss=math.nan if step < 100 else 1.0) for step in range(3000)))
    (block,) = job_series(job.pk)["blocks"]
    assert sum(block["bad"][0]) == 100
    assert block["values"][0][0] == "NaN" and block["values"][0][-1] == 1.0


def test_series_are_strict_json(job: TrainingJob) -> None:
    tell(job, metrics(step=1, a=math.nan, b=math.inf, c=-math.inf, d=-0.0))
    text = strict_dumps(job_series(job.pk))
    values = json.loads(text, parse_constant=pytest.fail)["blocks"][0]["values"]
    assert values == [["NaN"], ["Infinity"], ["-Infinity"], [-0.0]]


def test_series_go_on_from_a_cursor(job: TrainingJob) -> None:
    seq = tell(job, metrics(step=1, train__loss=1.0))
    tell(job, metrics(step=2, train__loss=2.0), lines("a line"))
    series = job_series(job.pk, after=seq)
    assert series["seq"] == seq + 2 and series["blocks"][0]["step"] == [2]


def test_only_the_named_series_are_read(job: TrainingJob) -> None:
    tell(job, metrics(step=1, a=1.0, b=2.0))
    (block,) = job_series(job.pk, names=["b"])["blocks"]
    assert list(block["names"]) == ["b"] and block["values"] == [[2.0]]


def test_latest_figures_leave_out_what_a_later_attempt_replaced(cast: SimpleNamespace) -> None:
    job = job_make(cast, JobState.RUNNING)
    attempt_make(job)
    tell(job, *(metrics(step=step, loss=float(step)) for step in range(1, 21)))
    attempt_make(job, 2, resumed_step=10)
    tell(job, metrics(step=11, loss=0.5))
    (latest,) = metrics_latest(job, list(job.attempts.all()))
    assert (latest.value, latest.highest, latest.lowest) == (0.5, 10.0, 0.5)


def test_latest_figures_grow_with_the_journal(job: TrainingJob) -> None:
    tell(job, metrics(step=1, loss=3.0))
    metrics_latest(job, [])
    tell(job, metrics(step=2, loss=math.nan))
    (latest,) = metrics_latest(job, [])
    assert math.isnan(latest.value) and latest.highest == 3.0


def test_the_log_is_searched_and_filtered(job: TrainingJob) -> None:
    tell(job, lines("alpha", "beta 100%"), lines("beta failed", level=LogLevel.ERROR, source="stderr"))
    found = [line.message for line in line_window(job.pk, LineFilter(text="BETA")).lines]
    assert found == ["beta 100%", "beta failed"]
    assert len(line_window(job.pk, LineFilter(level=LogLevel.ERROR)).lines) == 1
    assert len(line_window(job.pk, LineFilter(source="stderr")).lines) == 1
    assert len(line_window(job.pk, LineFilter(text="0%")).lines) == 1  # a wildcard is a character


def test_windows_of_the_log_join_without_gap_or_double(job: TrainingJob) -> None:
    tell(job, *(lines(*(f"{batch}-{n}" for n in range(100))) for batch in range(12)))
    seen: list[str] = []
    window = line_window(job.pk, LineFilter())
    while True:
        seen = [line.message for line in window.lines] + seen
        if window.earlier is None:
            break
        window = line_window(job.pk, LineFilter(), before=window.earlier)
    assert seen == [f"{batch}-{n}" for batch in range(12) for n in range(100)]


def test_the_first_error_is_shown_with_what_led_to_it(job: TrainingJob) -> None:
    tell(job, lines(*map(str, range(50))), lines("boom", level=LogLevel.ERROR), lines("after"))
    place = first_error(job.pk)
    shown = [line.message for line in line_window(job.pk, LineFilter(), after=place).lines]
    assert shown[0] == "30" and shown[-2:] == ["boom", "after"]


def test_a_flood_of_lines_is_cut_and_counted(job: TrainingJob) -> None:
    seq = tell(job, lines(*map(str, range(1000))))
    shown, skipped = newest_between(job.pk, 0, seq, 300)
    assert (len(shown), skipped, shown[-1].message) == (300, 700, "999")


@pytest.mark.parametrize("text", ["", "x", "1.x", "-1", "1.-1", "9" * 30, "١"])
def test_a_place_that_is_none_is_refused(text: str) -> None:
    assert Place.read(text) is None


def test_fifty_rows_cost_a_dozen_queries(
    cast: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    """Beside the heads, which are one more on PostgreSQL, and one a job on SQLite."""
    monkeypatch.setattr("training.jobs.selectors.heads", lambda ids: {})
    for number in range(50):
        job = job_make(cast, JobState.RUNNING, name=f"job {number}")
        attempt_make(job, total_epochs=10)
        tell(job, named("metrics/mAP50-95(B)", number / 50), lines("later"))
    with django_assert_max_num_queries(11):
        rows = job_rows(list(jobs_visible(cast.owner)))
    assert len(rows) == 50


def test_the_list_shows_the_primary_metric(cast: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "training.jobs.selectors.trainers_all", lambda: {"ultralytics": SimpleNamespace(primary=lambda task: "map")}
    )
    job = job_make(cast, JobState.RUNNING)
    tell(job, metrics(step=1, map=0.5), metrics(step=2, map=0.75, loss=1.0), metrics(step=3, loss=1.0))
    (row,) = job_rows([job])
    assert row.metric == ("map", 0.75)


def test_events_come_newest_first(job: TrainingJob) -> None:
    tell(job, event(type="note", text="one"), lines("between"), event(type="note", text="two"))
    assert [one.data["text"] for one in job_events(job.pk)] == ["two", "one"]


@pytest.mark.parametrize(
    ("role", "own", "other"),
    [(Role.GUEST, False, False), (Role.STANDARD_ENGINEER, True, False), (Role.ADVANCED_ENGINEER, True, True)],
)
def test_engineers_cancel_their_own_jobs_and_advanced_ones_any(
    cast: SimpleNamespace, role: Role, own: bool, other: bool
) -> None:
    member = person("member", cast.organization, role)
    assert allowed(member, Action.CANCEL_JOB, job_make(cast, created_by=member)) is own
    assert allowed(member, Action.CANCEL_JOB, job_make(cast)) is other


def test_of_very_many_series_a_board_is_told_the_names(job: TrainingJob, monkeypatch: pytest.MonkeyPatch) -> None:
    tell(job, *(metrics(step=step, one=1.0, two=2.0) for step in range(1, 4)), named("three", 3.0))
    whole = board_series(job.pk)
    assert "names" not in whole and whole == job_series(job.pk)
    monkeypatch.setattr(series, "MANY", 2)
    told = board_series(job.pk)
    assert told["names"] == ["one", "three", "two"] and told["blocks"] == [] and told["seq"] == 4
    assert board_series(job.pk, 2) == job_series(job.pk, 2)
    monkeypatch.setattr(series, "FAR", 1)
    assert board_series(job.pk, 2) == told
