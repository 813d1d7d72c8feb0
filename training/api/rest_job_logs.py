"""REST: the log of a job."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from training.api.rest_job_rows import job_visible
from training.api.rest_pages import Text, caller_of
from training.jobs.lines import LineFilter, lines_between
from training.models import LogLevel

router = Router(tags=["jobs"])
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LogQuery(Schema):
    level: Literal["debug", "info", "warning", "error"] = "debug"
    source: Text = ""
    text: Text = ""
    since: Annotated[datetime | None, Field(description="ISO 8601, or seconds since 1970.")] = None
    until: datetime | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class LineOut(Schema):
    seq: int
    n: Annotated[int, Field(description="Its place among the lines of the same `seq`.")]
    time: Annotated[float, Field(description="Seconds since 1970.")]
    level: str
    source: str
    message: str


class Lines(Schema):
    items: list[LineOut]
    total: int


@router.get("/jobs/{int:job_id}/logs", response=Lines, url_name="job-logs")
def job_logs(request: HttpRequest, job_id: int, wanted: Query[LogQuery]) -> Any:
    """Its log, oldest line first; `level` is the lowest that is wanted."""
    job_visible(caller_of(request), job_id)
    level = LogLevel[wanted.level.upper()]
    filters = LineFilter(level, wanted.source, wanted.text)
    since, until = _seconds(wanted.since), _seconds(wanted.until)
    lines, total = lines_between(job_id, filters, since, until, wanted.limit, wanted.offset)
    fields = ("seq", "n", "time", "source", "message")
    items = [{name: getattr(line, name) for name in fields} | {"level": LogLevel(line.level).label} for line in lines]
    return {"items": items, "total": total}


def _seconds(time: datetime | None) -> float | None:
    if time is None:
        return None
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - EPOCH).total_seconds()
