"""A follower reads a job's journal past its own cursor and moves it: the one loop that all of them share."""

from collections.abc import Callable, Sequence

from django.db import transaction

from training.journal.reader import Record, records_after
from training.models.journal import FollowerCursor

Take = Callable[[int, Sequence[Record]], None]


def follow(follower: str, job_id: int, take: Take, limit: int = 1000) -> int:
    """Give `take` the next records of a job and move the cursor, in one transaction; how many there were.

    `take` writes to this database only: what it stores and the cursor are
    committed together, so a crash in between neither loses nor doubles.
    """
    FollowerCursor.objects.get_or_create(follower=follower, job_id=job_id)
    with transaction.atomic():
        cursor = FollowerCursor.objects.select_for_update().get(follower=follower, job_id=job_id)
        records = records_after(job_id, cursor.seq, limit)
        if records:
            take(job_id, records)
            cursor.seq = records[-1].seq
            cursor.save(update_fields=["seq"])
    return len(records)


def catch_up(follower: str, job_id: int, take: Take, limit: int = 1000) -> int:
    """Follow until nothing is left; how many records there were."""
    total = 0
    while count := follow(follower, job_id, take, limit):
        total += count
        if count < limit:
            break
    return total
