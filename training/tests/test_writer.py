"""The journal's promises: no gaps, no doubles, one row per report, fences that hold."""

import struct
import threading
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training.journal import rows, writer
from training.journal.payloads import Event, Lines, Metrics, Refused, line_make
from training.journal.reader import heads, lines_after, metric_columns, records_after
from training.journal.writer import Append, append_event, commit
from training.models import JobAttempt, JobState, JournalRecord, RecordKind, TrainingJob
from training.tests.conftest import job_make

pytestmark = pytest.mark.django_db


def report(no: int | None, value: float = 1.0, step: int | None = None, name: str = "loss") -> Metrics:
    return Metrics(no, 1_700_000_000.0, step, 1, (name,), struct.pack("<d", value))


def send(attempt: JobAttempt, *items: Any, number: int | None = None) -> writer.Appended:
    return commit([Append(attempt.job_id, attempt.number if number is None else number, items)])[0]


def test_numbers_grow_by_one_without_gaps(attempt: JobAttempt) -> None:
    send(attempt, report(1), report(2))
    append_event(attempt.job_id, {"type": "note"})
    send(attempt, report(3))
    found = records_after(attempt.job_id, 0)
    assert [record.seq for record in found] == list(range(1, len(found) + 1))


@pytest.mark.parametrize("count", [1, rows.ROWS_AT_ONCE, rows.ROWS_AT_ONCE * 2 + 7])
def test_a_batch_of_any_size_is_stored_in_order(attempt: JobAttempt, count: int) -> None:
    assert send(attempt, *(report(n, float(n), step=n) for n in range(1, count + 1))).stored == count
    found = [one for one in records_after(attempt.job_id, 0) if one.kind == RecordKind.METRICS]
    assert [(one.step, one.values) for one in found] == [(n, (float(n),)) for n in range(1, count + 1)]


def test_a_repeat_is_answered_and_not_stored(attempt: JobAttempt) -> None:
    send(attempt, report(1), report(2))
    again = send(attempt, report(1), report(2), report(3))
    assert (again.stored, again.repeats, again.last_no) == (1, 2, 3)
    assert JournalRecord.objects.filter(job=attempt.job, kind=RecordKind.METRICS).count() == 3


def test_a_gap_is_turned_away_with_the_number_expected(attempt: JobAttempt) -> None:
    send(attempt, report(1))
    answer = send(attempt, report(3))
    assert (answer.error, answer.last_no, answer.stored) == ("gap", 1, 0)


def test_the_platforms_records_repeat_the_senders_number(attempt: JobAttempt) -> None:
    send(attempt, report(1, step=40))
    append_event(attempt.job_id, {"type": "note"})
    head = heads([attempt.job_id])[attempt.job_id]
    assert (head.sender_no, head.step, head.epoch) == (1, 40, 1)
    assert send(attempt, report(2)).stored == 1


def test_a_refused_report_uses_its_number_up_and_says_why(attempt: JobAttempt) -> None:
    answer = send(attempt, report(1), Refused(2, "step must be positive"), report(3))
    assert (answer.stored, answer.last_no, len(answer.refused)) == (2, 3, 1)
    assert "step must be positive" in lines_after(attempt.job_id, 0)[-1].message


def test_an_older_attempt_leaves_no_row(attempt: JobAttempt) -> None:
    TrainingJob.objects.filter(pk=attempt.job_id).update(attempt=2)
    before = JournalRecord.objects.count()
    assert send(attempt, report(1)).error == "stale_attempt"
    assert JournalRecord.objects.count() == before


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED])
def test_a_job_that_has_ended_takes_no_reports(attempt: JobAttempt, state: JobState) -> None:
    TrainingJob.objects.filter(pk=attempt.job_id).update(state=state)
    assert send(attempt, report(1)).error == "terminal"
    late = Append(attempt.job_id, attempt.number, [Lines(None, [line_make("last words")])], after_end=True)
    assert commit([late])[0].stored == 1


def test_the_numbers_of_a_sender_begin_anew_with_an_attempt(attempt: JobAttempt) -> None:
    send(attempt, report(1), report(2))
    TrainingJob.objects.filter(pk=attempt.job_id).update(attempt=2)
    assert send(attempt, report(1), number=2).stored == 1


def test_an_unknown_job_is_not_found(db: None) -> None:
    assert commit([Append(4711, 1, [report(1)])])[0].error == "not_found"


def test_one_bad_item_never_aborts_a_shared_commit(attempt: JobAttempt, cast: Any, monkeypatch: Any) -> None:
    other = job_make(cast, JobState.RUNNING, attempt=1)
    insert = rows.insert

    def refusing(batch: rows.Batch) -> None:
        if any(record[5] == 666.0 for record in batch.records):
            raise DatabaseError("refused")
        insert(batch)

    monkeypatch.setattr(rows, "insert", refusing)
    bad = Metrics(2, 666.0, None, None, ("loss",), struct.pack("<d", 1))
    mine, theirs = commit(
        [Append(attempt.job_id, 1, [report(1), bad, report(3)]), Append(other.pk, 1, [report(1), report(2)])]
    )
    assert (mine.stored, len(mine.refused), mine.last_no) == (2, 1, 3)
    assert theirs.stored == 2


def test_values_are_exact(attempt: JobAttempt) -> None:
    values = (float("nan"), float("inf"), float("-inf"), -0.0, 5e-324, 1.7976931348623157e308)
    names = tuple("abcdef")
    send(attempt, Metrics(1, 1_700_000_000.0, 1, 1, names, struct.pack("<6d", *values)))
    (columns,) = metric_columns(attempt.job_id)
    assert columns.values.tobytes() == struct.pack("<6d", *values) and columns.names == names


def test_an_event_rolls_back_with_its_transaction(job: TrainingJob) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        append_event(job.pk, {"type": "note"})
        raise RuntimeError
    assert records_after(job.pk, 0) == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(1, 12), max_size=6), max_size=12))
def test_shuffled_doubled_and_replayed_reports_give_the_same_rows(attempt: JobAttempt, calls: list[list[int]]) -> None:
    with transaction.atomic():
        for call in calls:
            send(attempt, *[report(no, float(no)) for no in call])
        expected = heads([attempt.job_id])[attempt.job_id].sender_no + 1
        send(attempt, *[report(no, float(no)) for no in range(expected, 13)])
        found = [record.values[0] for record in records_after(attempt.job_id, 0, kinds=[RecordKind.METRICS])]
        assert found == [float(no) for no in range(1, 13)]
        transaction.set_rollback(True)


@pytest.mark.django_db(transaction=True)
def test_many_writers_at_once_lose_and_double_nothing(attempt: JobAttempt) -> None:
    errors: list[BaseException] = []

    def write(source: str) -> None:
        try:
            for n in range(25):
                lines = Lines(None, [line_make(f"{source} {n}")])
                commit([Append(attempt.job_id, None, [lines, Event({"type": "note"})])])
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(f"t{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    found = records_after(attempt.job_id, 0, 10_000)
    assert [record.seq for record in found] == list(range(1, len(found) + 1))
    assert len({line.message for line in lines_after(attempt.job_id, 0, 10_000)}) == 200
