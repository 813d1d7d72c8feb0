"""A job's series and log as data: JSON for charts, CSV and text to keep."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.http import require_GET

from training.jobs.lines import LineFilter, lines_in_chunks
from training.jobs.points import point_table
from training.jobs.selectors import jobs_visible
from training.jobs.series import MAX_POINTS, board_series, job_series, strict_dumps, window_series
from training.jobs.tables import LONG, csv_pieces
from training.journal.window import AXES, FULL_WIDTH, Window
from training.models import LogLevel, TrainingLog
from training.tables import download

UNLIMITED = 2**62
LARGEST = 2.0**53  # of a step or time: beyond it whole numbers are no longer told apart


@require_GET
def metrics_json(request: HttpRequest, job_id: int) -> HttpResponseBase:
    """The series past `after`, of the `name`s asked for or all, condensed unless `full` is set; strict JSON.

    Of a job with very many series, without `name`, only what they are called.
    With `axis`, what a chart of `width` pixels shows from `start` to `end` along it.
    """
    if refusal := _refusal(request, job_id):
        return refusal
    after = request.GET.get("after", "0")
    if not (after.isascii() and after.isdigit() and len(after) < 19):
        return HttpResponse("after: expected a whole number", status=400, content_type="text/plain")
    names = request.GET.getlist("name") or None
    if "axis" in request.GET:
        try:
            window, width = window_asked(request.GET)
        except ValueError as error:
            return HttpResponse(str(error), status=400, content_type="text/plain")
        series = window_series(job_id, names, window, width)
    elif names is None and not request.GET.get("full"):
        series = board_series(job_id, int(after))
    else:
        series = job_series(job_id, int(after), names, UNLIMITED if request.GET.get("full") else MAX_POINTS)
    response = HttpResponse(strict_dumps(series), content_type="application/json")
    response["Cache-Control"] = "no-store"
    return response


@require_GET
def metrics_csv(request: HttpRequest, job_id: int) -> HttpResponseBase:
    """Every point that was reported, one a line."""
    if refusal := _refusal(request, job_id):
        return refusal
    names = request.GET.getlist("name") or None
    table = point_table(job_id, names, effective=False)
    return download(csv_pieces(table, LONG), "text/csv", f"job-{job_id}-metrics.csv")


@require_GET
def log_text(request: HttpRequest, job_id: int) -> HttpResponseBase:
    """The whole log as it was written."""
    if refusal := _refusal(request, job_id):
        return refusal
    chunks = ("".join(map(line_text, lines)) for lines in lines_in_chunks(job_id, LineFilter()))
    return download(chunks, "text/plain", f"job-{job_id}.log")


def window_asked(query: Mapping[str, str]) -> tuple[Window, int]:
    """The window and the number of buckets that a chart asks for. Raises ValueError, which says what is wrong."""
    axis = query.get("axis", "")
    if axis not in AXES:
        raise ValueError(f"axis: expected one of {', '.join(AXES)}")
    width = query.get("width", str(FULL_WIDTH))
    if not (width.isascii() and width.isdigit() and 10 <= int(width[:9]) <= 4000):
        raise ValueError("width: expected 10 to 4000")
    start, end = (_bound(name, query.get(name)) for name in ("start", "end"))
    return Window(axis, start, end), int(width)


def _bound(name: str, text: str | None) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or abs(value) > LARGEST:
        raise ValueError(f"{name}: expected a number")
    return value


def _refusal(request: HttpRequest, job_id: int) -> HttpResponse | None:
    if not request.user.is_authenticated:
        return HttpResponse("Not signed in.", status=401, content_type="text/plain")
    if not jobs_visible(request.user).filter(pk=job_id).exists():
        raise Http404("No such job.")
    return None


def line_text(line: TrainingLog) -> str:
    time = datetime.fromtimestamp(line.time, UTC).isoformat(timespec="milliseconds")
    return f"{time} {LogLevel(line.level).label.upper():<7} {line.source}: {line.message}\n"
