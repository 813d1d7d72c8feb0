"""The log of a job: as pages of its own, by numbers for the viewer on the job page, and searched."""

from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET

from training.jobs.line_counts import line_sources
from training.jobs.line_rows import (
    LineRows,
    error_first,
    line_above,
    line_rows,
    line_rows_at,
    line_whole,
    without_text,
)
from training.jobs.line_search import LAST, START, found_window, line_find, line_tally
from training.jobs.lines import LineFilter, Place, first_error, line_window
from training.models import LogLevel, TrainingJob
from training.pages.doors import job_or_404, signed_in

ROWS = 300
MOST_ROWS = 1000
END = 2**62


@require_GET
@signed_in
def job_log(request: HttpRequest, job_id: int) -> HttpResponseBase:
    """A window of the log: searched, filtered, before or after a place, at a line or at the first error."""
    job = job_or_404(request, job_id)
    wanted = line_filter(request)
    before, after = (Place.read(request.GET.get(name, "")) for name in ("before", "after"))
    if request.GET.get("at") == "first-error":
        before, after = None, first_error(job_id)
    elif place := Place.read(request.GET.get("at", "")):
        before, after = None, line_above(job_id, place)
    window = (found_window if wanted.text else line_window)(job_id, wanted, before, after)
    context = log_context(job, wanted) | {"window": window, "sources": line_sources(job_id)}
    return render(request, "training/job_log.html", context)


@require_GET
@signed_in
def log_rows(request: HttpRequest, job_id: int) -> HttpResponseBase:
    """Rows of the log for the viewer: from the number `start` on, or around `at`: a place, `end` or `first-error`."""
    job = job_or_404(request, job_id)
    rows = _rows_asked(request, job_id, without_text(line_filter(request)))
    html = render_to_string("training/_log_lines.html", {"lines": rows.lines, "job": job})
    return _fresh({"total": rows.total, "start": rows.start, "html": html})


@require_GET
@signed_in
def log_hits(request: HttpRequest, job_id: int) -> HttpResponseBase:
    """The line after `origin` that holds `text`, or before it with `back`; or how many do, with `count`, as far as
    this part of the search came: the next one begins at `reached`, unless this one is `done`.
    """
    job_or_404(request, job_id)
    wanted = line_filter(request)
    if not wanted.text:
        return HttpResponse("text: expected what to look for", status=400, content_type="text/plain")
    forward = not request.GET.get("back")
    origin, before = (Place.read(request.GET.get(name, "")) for name in ("origin", "before"))
    if request.GET.get("count"):
        tally = line_tally(job_id, wanted, origin or START, before or START)
        told: dict[str, object] = {"count": tally.count, "before": tally.before}
        return _fresh(told | {"reached": str(tally.reached), "lines": tally.lines, "done": tally.done})
    found = line_find(job_id, wanted, origin or (START if forward else LAST), forward)
    told = {"at": str(found.place or ""), "reached": str(found.reached), "lines": found.lines, "done": found.done}
    return _fresh(told)


@require_GET
@signed_in
def log_line(request: HttpRequest, job_id: int, place: str) -> HttpResponseBase:
    """One line as it was written, all of it."""
    job_or_404(request, job_id)
    found = Place.read(place)
    line = line_whole(job_id, found) if found else None
    if line is None:
        raise Http404("No such line.")
    return HttpResponse(line.message, content_type="text/plain; charset=utf-8")


def _rows_asked(request: HttpRequest, job_id: int, wanted: LineFilter) -> LineRows:
    count = min(MOST_ROWS, max(1, _whole(request, "count", ROWS)))
    at = request.GET.get("at", "")
    place = error_first(job_id, wanted) if at == "first-error" else Place.read(at)
    if place is not None:
        return line_rows_at(job_id, wanted, place, count)
    return line_rows(job_id, wanted, END if at else _whole(request, "start", 0), count)


def _whole(request: HttpRequest, name: str, default: int) -> int:
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else default


def _fresh(answer: dict[str, object]) -> JsonResponse:
    response = JsonResponse(answer)
    response["Cache-Control"] = "no-store"
    return response


def line_filter(request: HttpRequest) -> LineFilter:
    """The filter in the address; what makes no sense in it is left out."""
    level = request.GET.get("level", "")
    known = int(level) if level.isascii() and level.isdigit() and int(level[:3]) in LogLevel.values else LogLevel.DEBUG
    source, text = (request.GET.get(name, "")[:200].replace("\x00", "") for name in ("source", "text"))
    return LineFilter(int(known), source, text)


def log_context(job: TrainingJob, wanted: LineFilter) -> dict[str, object]:
    query = urlencode({"level": wanted.level, "source": wanted.source, "text": wanted.text})
    return {"job": job, "wanted": wanted, "levels": LogLevel.choices, "query": query}
