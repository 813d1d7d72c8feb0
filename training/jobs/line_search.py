"""Where a text is found in a job's log, a bounded part of it at a time, so that a million lines keep nobody waiting.

A search is a walk: each call looks at the lines beyond a place for some tenths of a second, and says how far it came.
Who searches goes on from there, and can stop at any time. No index holds the texts: SQLite's one of trigrams costs
20 times what storing a line does, and without it a million lines are looked at in about a second.
"""

import time
from dataclasses import dataclass

from django.db.models import Count, QuerySet

from training.jobs.lines import WINDOW, LineFilter, LineWindow, Place
from training.models import TrainingLog

CHUNK = 4000  # lines in one look
SECONDS = 0.15  # after which no further look is begun
PAGE_SECONDS = 1.0  # the same for a page that can't ask again by itself
START, LAST = Place(0, 0), Place(2**31 - 1, 2**31 - 1)


@dataclass(frozen=True, slots=True)
class LineFind:
    """What a part of a search has found: the line, or how far it came; `done` where nothing is left that way."""

    place: Place | None
    reached: Place
    lines: int
    done: bool


@dataclass(frozen=True, slots=True)
class LineTally:
    """How many of the `lines` looked at hold the text, and how many of those are before a place."""

    count: int
    before: int
    reached: Place
    lines: int
    done: bool


def line_find(job_id: int, wanted: LineFilter, origin: Place, forward: bool) -> LineFind:
    """The nearest line beyond `origin`, or before it, that holds the text."""
    reached, lines, end = origin, 0, time.monotonic() + SECONDS
    while True:
        last, looked = _chunk(job_id, wanted, reached, forward)
        if last is None:
            return LineFind(None, reached, lines, True)
        found = _between(job_id, wanted, reached, last, forward).values_list("seq", "n").first()
        lines, reached = lines + looked, last
        if found:
            return LineFind(Place(*found), Place(*found), lines, False)
        if looked < CHUNK or time.monotonic() >= end:
            return LineFind(None, reached, lines, looked < CHUNK)


def line_tally(job_id: int, wanted: LineFilter, origin: Place, before: Place) -> LineTally:
    """Count what is found beyond `origin`, and what of it comes before the place `before`."""
    reached, lines, count, earlier, end = origin, 0, 0, 0, time.monotonic() + SECONDS
    while True:
        last, looked = _chunk(job_id, wanted, reached, forward=True)
        if last is None:
            return LineTally(count, earlier, reached, lines, True)
        hits = _between(job_id, wanted, reached, last, forward=True).order_by()
        found = hits.aggregate(all=Count("n"), before=Count("n", filter=before.before))
        count, earlier = count + found["all"], earlier + found["before"]
        lines, reached = lines + looked, last
        if looked < CHUNK or time.monotonic() >= end:
            return LineTally(count, earlier, reached, lines, looked < CHUNK)


def found_window(
    job_id: int, wanted: LineFilter, before: Place | None = None, after: Place | None = None
) -> LineWindow:
    """The hits before or after a place, or else the newest ones: as many as a page shows, or as were found in time.

    Where the search ended for want of time, the next part of it begins at `earlier` or `later`.
    """
    forward = after is not None
    origin, end = after or before or LAST, time.monotonic() + PAGE_SECONDS
    lines: list[TrainingLog] = []
    done = False
    while not done and len(lines) <= WINDOW:
        last, looked = _chunk(job_id, wanted, origin, forward)
        if last is not None:
            lines += _between(job_id, wanted, origin, last, forward)[: WINDOW + 1]
            origin = last
        done = looked < CHUNK
        if time.monotonic() >= end:
            break
    if more := len(lines) > WINDOW:
        lines = lines[:WINDOW]
        origin = Place(lines[-1].seq, lines[-1].n)
    rest = None if done and not more else origin
    first = Place(lines[0].seq, lines[0].n) if lines else None
    if forward:
        return LineWindow(lines, rest is None, first, rest)
    return LineWindow(lines[::-1], before is None, rest, first if before else None)


def _chunk(job_id: int, wanted: LineFilter, origin: Place, forward: bool) -> tuple[Place | None, int]:
    """The last of the next lines, found by the index alone, and how many they are; whatever their source and text."""
    query = LineFilter(wanted.level).lines(job_id).filter(origin.after if forward else origin.before)
    places = _ordered(query, forward).values_list("seq", "n")
    if full := places[CHUNK - 1 : CHUNK].first():
        return Place(*full), CHUNK
    rest = list(places[:CHUNK])
    return (Place(*rest[-1]), min(len(rest), CHUNK - 1)) if rest else (None, 0)


def _between(job_id: int, wanted: LineFilter, origin: Place, last: Place, forward: bool) -> QuerySet[TrainingLog]:
    near, far = (origin.after, last.upto) if forward else (origin.before, last.onward)
    return _ordered(wanted.lines(job_id).filter(near, far), forward)


def _ordered(query: QuerySet[TrainingLog], forward: bool) -> QuerySet[TrainingLog]:
    return query.order_by("seq", "n") if forward else query.order_by("-seq", "-n")
