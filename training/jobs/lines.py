"""Log lines for people: a window of a job's log, filtered and searched by the database."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL

from training.jobs.line_counts import lines_count
from training.models import LogLevel, TrainingLog

WINDOW = 500
BEFORE_ERROR = 20


@dataclass(frozen=True, slots=True)
class LineFilter:
    """What of the log is wanted: the lowest level, one source, a text; empty means all."""

    level: int = LogLevel.DEBUG
    source: str = ""
    text: str = ""

    def __bool__(self) -> bool:
        return bool(self.level > LogLevel.DEBUG or self.source or self.text)

    def counted(self, job_id: int) -> tuple[int, int]:
        """How many lines there are of it, up to which record."""
        return lines_count(job_id, self.lines(job_id), (int(self.level), self.source, self.text))

    def lines(self, job_id: int) -> QuerySet[TrainingLog]:
        query = TrainingLog.objects.filter(job_id=job_id)
        if self.level > LogLevel.DEBUG:
            query = query.filter(at_least(self.level))
        if self.source:
            query = query.filter(source=self.source)
        return query.filter(message__icontains=self.text) if self.text else query


def at_least(level: int) -> RawSQL:
    """Lines of a level or a higher one. The number stands in the SQL: SQLite uses no partial index for a parameter."""
    return RawSQL(f'"training_traininglog"."level" >= {int(level)}', [], BooleanField())


@dataclass(frozen=True, slots=True)
class Place:
    """A line's place in the log, written `seq.n` in addresses."""

    seq: int
    n: int

    @classmethod
    def read(cls, text: str) -> "Place | None":
        """The place that `text` names; None if it names none."""
        seq, _, n = text.partition(".")
        if not (seq.isascii() and seq.isdigit() and (n or "0").isascii() and (n or "0").isdigit()):
            return None
        place = cls(int(seq), int(n or 0))
        return place if max(place.seq, place.n) < 2**31 else None

    @property
    def before(self) -> RawSQL:
        return self._compared("<")

    @property
    def upto(self) -> RawSQL:
        return self._compared("<=")

    @property
    def after(self) -> RawSQL:
        return self._compared(">")

    @property
    def onward(self) -> RawSQL:
        return self._compared(">=")

    def _compared(self, sign: str) -> RawSQL:
        """As one comparison of pairs: a range of the index, however many lines one record has."""
        table = '"training_traininglog"'
        return RawSQL(f'({table}."seq", {table}."n") {sign} (%s, %s)', [self.seq, self.n], BooleanField())

    def __str__(self) -> str:
        return f"{self.seq}.{self.n}"


@dataclass(frozen=True, slots=True)
class LineWindow:
    """Consecutive lines; the newest of all if `tail`, and then the page adds what comes."""

    lines: list[TrainingLog]
    tail: bool
    earlier: Place | None = None
    later: Place | None = None


def line_window(job_id: int, wanted: LineFilter, before: Place | None = None, after: Place | None = None) -> LineWindow:
    """The lines before or after a place, or else the newest ones."""
    query = wanted.lines(job_id)
    if after is not None:
        lines = list(query.filter(after.after).order_by("seq", "n")[: WINDOW + 1])
        more = len(lines) > WINDOW
        lines = lines[:WINDOW]
        return LineWindow(lines, not more, _place(lines, 0), _place(lines, -1) if more else None)
    if before is not None:
        query = query.filter(before.before)
    lines = list(query.order_by("-seq", "-n")[: WINDOW + 1])
    more = len(lines) > WINDOW
    lines = lines[:WINDOW][::-1]
    return LineWindow(lines, before is None, _place(lines, 0) if more else None, _place(lines, -1) if before else None)


def lines_between(
    job_id: int, wanted: LineFilter, since: float | None, until: float | None, limit: int, offset: int
) -> tuple[list[TrainingLog], int]:
    """`limit` lines of those written in [since, until), in order, after `offset` of them; and how many there are."""
    query = wanted.lines(job_id)
    if since is not None:
        query = query.filter(time__gte=since)
    if until is not None:
        query = query.filter(time__lt=until)
    return list(query.order_by("seq", "n")[offset : offset + limit]), query.count()


def first_error(job_id: int) -> Place | None:
    """A place some lines above the job's first error, so that what led to it is seen too."""
    lines = TrainingLog.objects.filter(job_id=job_id)
    error = lines.filter(at_least(LogLevel.ERROR)).order_by("seq", "n").values_list("seq", "n").first()
    if error is None:
        return None
    above = lines.filter(Place(*error).before).order_by("-seq", "-n").values_list("seq", "n")
    start = above[BEFORE_ERROR : BEFORE_ERROR + 1]
    return Place(*start[0]) if start else Place(0, 0)


def newest_between(job_id: int, after: int, upto: int, limit: int) -> tuple[list[TrainingLog], int]:
    """The last `limit` lines of records in (after, upto], in order, and how many before them were left out."""
    query = TrainingLog.objects.filter(job_id=job_id, seq__gt=after, seq__lte=upto)
    lines = list(query.order_by("-seq", "-n")[: limit + 1])
    if len(lines) <= limit:
        return lines[::-1], 0
    return lines[:limit][::-1], query.count() - limit


def lines_in_chunks(job_id: int, wanted: LineFilter, chunk: int = 5000) -> Iterator[list[TrainingLog]]:
    """The whole log in pieces, each read by itself: nothing is held open in between."""
    place: Place | None = Place(0, 0)
    while place is not None:
        lines = list(wanted.lines(job_id).filter(place.after).order_by("seq", "n")[:chunk])
        yield lines
        place = _place(lines, -1) if len(lines) == chunk else None


def _place(lines: list[TrainingLog], index: int) -> Place | None:
    return Place(lines[index].seq, lines[index].n) if lines else None
