"""The one writer of the journal: many appends, one transaction, one row lock a job, numbers without gaps.

`commit` works in the caller's thread and joins a transaction that is already
open, so a change of state and its event are one. `GroupCommitter` gathers what
many requests bring at once and commits it together from a thread of its own.
"""

import json
import logging
import time as clock
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from django.db import DatabaseError, InterfaceError, OperationalError, transaction

from training.journal import rows
from training.journal.names import names_intern
from training.journal.payloads import Event, Item, Line, Lines, Metrics, Refused, line_make
from training.journal.wakeups import announce
from training.models.job import JobState
from training.models.journal import LogLevel, RecordKind

logger = logging.getLogger(__name__)
CLOSED = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})


@dataclass(slots=True)
class Append:
    """What one sender wants stored.

    `attempt` None is the platform itself, which is never fenced off. A
    supervisor still reads its trainer's output after the job has ended: what it
    appends `after_end` is fenced by the attempt alone.
    """

    job_id: int
    attempt: int | None
    items: Sequence[Item]
    after_end: bool = False


@dataclass(slots=True)
class Appended:
    """What became of an append: counts, the numbers reached, and `error` if it was turned away.

    `error` is empty, or one of `not_found`, `stale_attempt`, `terminal`, `gap`
    (then `last_no` + 1 is the number expected).
    """

    stored: int = 0
    repeats: int = 0
    seq: int = 0
    last_no: int = 0
    error: str = ""
    state: str = ""
    cancel: bool = False
    refused: list[Refused] = field(default_factory=list)


@dataclass(slots=True)
class _Head:
    """Where a job's journal stands while a transaction adds to it."""

    attempt: int
    state: str
    stop_attempt: int = 0
    seq: int = 0
    sender_no: int = 0
    step: int | None = None
    epoch: int | None = None
    moved: bool = False


def commit(appends: Sequence[Append]) -> list[Appended]:
    """Store all of `appends` in one transaction; the answers are true once it has committed.

    Should the database refuse one item, the group is split and tried again,
    so that it alone becomes a refusal. Raises OperationalError or
    InterfaceError when the database is away; nothing unanswered is stored then.
    """
    name_ids = names_intern({item.names for append in appends for item in append.items if isinstance(item, Metrics)})
    try:
        return _commit(appends, name_ids)
    except (OperationalError, InterfaceError):
        raise
    except DatabaseError as error:
        logger.warning("The database refused a group of %d appends: %s", len(appends), error)
        if len(appends) > 1:
            middle = len(appends) // 2
            return commit(appends[:middle]) + commit(appends[middle:])
        return [_commit_apart(appends[0], error)]


def _commit_apart(append: Append, error: DatabaseError) -> Appended:
    """Store the items of an append that the database refused as a whole, all but the bad ones."""
    items = append.items
    if len(items) == 1:
        item = items[0]
        if not isinstance(item, Metrics | Lines):
            raise error
        return commit([replace(append, items=[Refused(item.no, "the database refused it")])])[0]
    middle = len(items) // 2
    first = commit([replace(append, items=items[:middle])])[0]
    if first.error:
        return first
    second = commit([replace(append, items=items[middle:])])[0]
    second.stored += first.stored
    second.repeats += first.repeats
    second.refused = first.refused + second.refused
    return second


def append_event(job_id: int, data: dict[str, object]) -> int:
    """Record an event of the platform's own, inside the transaction that is open; returns its seq."""
    return commit([Append(job_id, None, [Event(data)])])[0].seq


def _commit(appends: Sequence[Append], name_ids: dict[tuple[str, ...], int]) -> list[Appended]:
    batch = rows.Batch()
    with rows.write_turn(), transaction.atomic():
        heads = _heads_lock(sorted({append.job_id for append in appends}))
        answers = [_append_take(append, heads.get(append.job_id), name_ids, batch) for append in appends]
        rows.insert(batch)
        moved = {job_id: head.seq for job_id, head in heads.items() if head.moved}
        if moved:
            transaction.on_commit(lambda: announce(moved), robust=True)
    return answers


def _heads_lock(job_ids: Sequence[int]) -> dict[int, _Head]:
    heads = {job_id: _Head(attempt, state, stop) for job_id, attempt, state, stop in rows.jobs_lock(job_ids)}
    for job_id, seq, attempt, sender_no, step, epoch in rows.newest(list(heads)):
        head = heads[job_id]
        head.seq = seq
        if attempt == head.attempt:  # the numbers of a sender begin anew with each attempt
            head.sender_no, head.step, head.epoch = sender_no, step, epoch
    return heads


def _append_take(
    append: Append, head: _Head | None, name_ids: dict[tuple[str, ...], int], batch: rows.Batch
) -> Appended:
    if head is None:
        return Appended(error="not_found")
    early = append.attempt is not None and append.attempt == head.stop_attempt
    answer = Appended(state=head.state, cancel=early or head.state == JobState.CANCELLING)
    if append.attempt is not None and append.attempt != head.attempt:
        answer.error = "stale_attempt"
    elif append.attempt is not None and head.state in CLOSED and not append.after_end:
        answer.error = "terminal"
    else:
        for item in append.items:
            if not _item_take(append.job_id, item, head, answer, name_ids, batch):
                answer.error = "gap"
                break
    answer.seq, answer.last_no = head.seq, head.sender_no
    return answer


def _item_take(
    job_id: int,
    item: Item,
    head: _Head,
    answer: Appended,
    name_ids: dict[tuple[str, ...], int],
    batch: rows.Batch,
) -> bool:
    """Add one item to the batch; False if its number leaves a gap."""
    if item.no is not None:
        if item.no <= head.sender_no:
            answer.repeats += 1
            return True
        if item.no != head.sender_no + 1:
            return False
        head.sender_no = item.no
    head.seq += 1
    head.moved = True
    if isinstance(item, Metrics):
        head.step = head.step if item.step is None else item.step
        head.epoch = head.epoch if item.epoch is None else item.epoch
        _record_add(batch, job_id, head, RecordKind.METRICS, item.time, name_ids[item.names], item.values)
    elif isinstance(item, Event):
        data = json.dumps(item.data, separators=(",", ":"), allow_nan=False).encode()
        _record_add(batch, job_id, head, RecordKind.EVENT, clock.time(), None, data)
    else:
        lines = _lines_of(item)
        _record_add(batch, job_id, head, RecordKind.LOG, lines[-1].time, None, b"")
        batch.lines += [
            (job_id, head.seq, n, line.level, line.source, line.time, line.message, line.metadata)
            for n, line in enumerate(lines)
        ]
    if isinstance(item, Refused):
        answer.refused.append(item)
    else:
        answer.stored += 1
    return True


def _lines_of(item: Lines | Refused) -> list[Line]:
    if isinstance(item, Lines):
        return item.lines
    return [line_make(f"A report of the trainer was refused: {item.reason}", LogLevel.WARNING)]


def _record_add(
    batch: rows.Batch, job_id: int, head: _Head, kind: int, time: float, names: int | None, values: bytes
) -> None:
    batch.records.append(
        (job_id, head.seq, head.attempt, head.sender_no, int(kind), time, head.step, head.epoch, names, values)
    )
