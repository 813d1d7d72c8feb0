"""A job's log by the numbers of its lines: any rows of a million."""

from dataclasses import dataclass, replace

from django.db.models import QuerySet

from training.jobs.lines import LineFilter, Place
from training.models import LogLevel, TrainingLog

ABOVE = 20  # lines that are shown above the one that was asked for


@dataclass(frozen=True, slots=True)
class LineRows:
    """Consecutive lines among those that pass a filter, the first of them number `start` of `total`."""

    total: int
    start: int
    lines: list[TrainingLog]


def line_rows(job_id: int, wanted: LineFilter, start: int, count: int) -> LineRows:
    """`count` lines from number `start` on; the last ones where there are not so many. Finds the first by the index."""
    query = _ordered(job_id, wanted)
    total, upto = wanted.counted(job_id)
    start = max(0, min(start, total - count))
    # from the end that is nearer; the last is the last of those that were counted
    far = start > total // 2
    place = query.filter(seq__lte=upto).reverse()[total - 1 - start :] if far else query[start:]
    first = place.values_list("seq", "n")[:1].first() if total else None
    lines = list(query.filter(Place(*first).onward)[:count]) if first else []
    return LineRows(total, start, lines)


def line_rows_at(job_id: int, wanted: LineFilter, place: Place, count: int) -> LineRows:
    """Lines around a place."""
    return line_rows(job_id, wanted, line_number(job_id, wanted, place) - count // 2, count)


def line_number(job_id: int, wanted: LineFilter, place: Place) -> int:
    """How many lines come before the place."""
    return wanted.lines(job_id).filter(place.before).count()


def error_first(job_id: int, wanted: LineFilter) -> Place | None:
    """The first error of the source that is wanted."""
    errors = _ordered(job_id, LineFilter(LogLevel.ERROR, wanted.source))
    found = errors.values_list("seq", "n").first()
    return Place(*found) if found else None


def line_above(job_id: int, place: Place) -> Place:
    """A place some lines above, to read on from."""
    before = _ordered(job_id, LineFilter()).filter(place.before).reverse().values_list("seq", "n")
    start = before[ABOVE : ABOVE + 1].first()
    return Place(*start) if start else Place(0, 0)


def line_whole(job_id: int, place: Place) -> TrainingLog | None:
    """One line, however long it is."""
    return TrainingLog.objects.filter(job_id=job_id, seq=place.seq, n=place.n).first()


def without_text(wanted: LineFilter) -> LineFilter:
    """The filter of what is listed, where the text is only looked for."""
    return replace(wanted, text="")


def _ordered(job_id: int, wanted: LineFilter) -> QuerySet[TrainingLog]:
    return wanted.lines(job_id).order_by("seq", "n")
