"""Following a job until it ends: its log past a cursor, and its states, for whoever waits for it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from training.jobs.lines import LineFilter, Place
from training.jobs.selectors import JobStatus, job_status
from training.jobs.states import ENDED
from training.models import TrainingLog

EVERY = 0.5
LINES = 1000


@dataclass(frozen=True, slots=True)
class News:
    """What came since the last look: the lines that are wanted, and where the job stands."""

    lines: list[TrainingLog]
    status: JobStatus


def job_follow(
    job_id: int, wanted: LineFilter | None, after: Place | None = None, sleep: Callable[[float], None] = time.sleep
) -> Iterator[News]:
    """What a job says, from `after` on, until it has ended and all was told; ends too if the job is deleted.

    The state is read before the lines, so what was written before the end is never missed.
    """
    place = after or Place(0, 0)
    while (status := job_status(job_id)) is not None:
        lines = _lines_after(job_id, wanted, place) if wanted is not None else []
        if lines:
            place = Place(lines[-1].seq, lines[-1].n)
        yield News(lines, status)
        if len(lines) == LINES:
            continue
        if status.job.state in ENDED:
            return
        sleep(EVERY)


def lines_last(job_id: int, wanted: LineFilter, count: int) -> list[TrainingLog]:
    """The last `count` lines of the log, in order."""
    return list(wanted.lines(job_id).order_by("-seq", "-n")[:count])[::-1]


def _lines_after(job_id: int, wanted: LineFilter, place: Place) -> list[TrainingLog]:
    return list(wanted.lines(job_id).filter(place.after).order_by("seq", "n")[:LINES])
