"""The journal's SQL: locking jobs, finding their newest records, inserting rows.

Raw SQL, because the ORM is three to eight times slower here; nowhere else is it.
PostgreSQL takes rows by COPY, half again as fast as arrays for batches; SQLite by executemany, under its write lock.
"""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from django.db import connection

RECORD_COLUMNS = 'job_id, seq, attempt, sender_no, kind, time, step, epoch, names_id, "values"'
ROWS_AT_ONCE = 50  # rows in a statement of SQLite: one by one they take half again as long
LINE_COLUMNS = "job_id, seq, n, level, source, time, message, metadata"


@dataclass(slots=True)
class Batch:
    """Rows to insert, in the order of the columns above."""

    records: list[tuple] = field(default_factory=list)
    lines: list[tuple] = field(default_factory=list)


@contextmanager
def write_turn() -> Iterator[None]:
    """Queue fairly for SQLite's one write lock, across processes; nothing to wait for elsewhere.

    SQLite's own lock is polled, and a busy writer can starve another for
    seconds; a file lock hands over at once. Inside an open transaction the
    write lock is already held.
    """
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        yield
        return
    with open(f"{connection.settings_dict['NAME']}.turn", "ab") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield


def jobs_lock(job_ids: Sequence[int]) -> list[tuple[int, int, str, int]]:
    """Lock the jobs in order of their ids until the transaction ends; (id, attempt, state, attempt to stop) of each.

    NO KEY UPDATE lets others insert rows that refer to the job; on SQLite the
    transaction has begun IMMEDIATE and holds the only write lock.
    """
    sql = "SELECT id, attempt, state, stop_attempt FROM training_trainingjob WHERE id "
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(sql + "= ANY(%s) ORDER BY id FOR NO KEY UPDATE", [list(job_ids)])
        else:
            cursor.execute(f"{sql} IN ({_marks(job_ids)}) ORDER BY id", list(job_ids))
        return list(cursor.fetchall())


def newest(job_ids: Sequence[int]) -> list[tuple[int, int, int, int, int | None, int | None]]:
    """(job, seq, attempt, sender_no, step, epoch) of each job's newest record: one look into the index a job."""
    columns = "r.job_id, r.seq, r.attempt, r.sender_no, r.step, r.epoch"
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                f"SELECT {columns} FROM unnest(%s::bigint[]) AS wanted(id) CROSS JOIN LATERAL ("
                "SELECT * FROM training_journalrecord WHERE job_id = wanted.id ORDER BY seq DESC LIMIT 1) r",
                [list(job_ids)],
            )
        else:
            cursor.execute(
                f"SELECT {columns} FROM training_trainingjob j JOIN training_journalrecord r ON r.job_id = j.id AND "
                "r.seq = (SELECT MAX(seq) FROM training_journalrecord WHERE job_id = j.id) "
                f"WHERE j.id IN ({_marks(job_ids)})",
                list(job_ids),
            )
        return list(cursor.fetchall())


def insert(batch: Batch) -> None:
    _insert("training_journalrecord", RECORD_COLUMNS, batch.records)
    _insert("training_traininglog", LINE_COLUMNS, batch.lines)


def _insert(table: str, columns: str, rows: list[tuple]) -> None:
    if not rows:
        return
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with connection.wrap_database_errors, cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        else:
            whole = len(rows) - len(rows) % ROWS_AT_ONCE
            _insert_many(cursor, table, columns, rows[:whole], ROWS_AT_ONCE)
            _insert_many(cursor, table, columns, rows[whole:], 1)


def _insert_many(cursor: Any, table: str, columns: str, rows: list[tuple], at_once: int) -> None:
    """Insert rows by statements of `at_once` rows each, of which `rows` is a multiple."""
    marks = ", ".join([f"({_marks(columns.split(','))})"] * at_once)
    parts = [list(chain.from_iterable(rows[at : at + at_once])) for at in range(0, len(rows), at_once)]
    cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES {marks}", parts)


def _marks(items: Sequence[object]) -> str:
    return ", ".join(["%s"] * len(items))
