"""REST: what a job has measured: condensed series for charts, whole tables to keep."""

from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema
from pydantic import Field

from training.api.problems import Refusal
from training.api.rest_pages import Text, caller_of, one_of
from training.jobs.parquet import ParquetUnavailable, file_pieces, parquet_file
from training.jobs.points import PointTable, point_table
from training.jobs.selectors import jobs_visible
from training.jobs.series import MAX_POINTS, job_series, strict_dumps
from training.jobs.tables import csv_pieces, json_pieces
from training.people.roles import Action, require
from training.tables import download

router = Router(tags=["metrics"])
UNLIMITED = 2**62
PARQUET = "application/vnd.apache.parquet"
Number = float | Literal["NaN", "Infinity", "-Infinity"] | None
TABLE_EXAMPLE = {"columns": ["name", "seq", "attempt", "step", "epoch", "time", "value"]}
TABLE_EXAMPLE["rows"] = [["train/box_loss", 3, 1, 100, 1, 1760000000.5, 0.71]]  # type: ignore[list-item]


class MetricsQuery(Schema):
    name: Annotated[list[Text], Field(description="May be given several times.")] = []
    after: Annotated[int, Field(ge=0, le=2**62, description="Only what lies past this `seq`.")] = 0
    full: Annotated[bool, Field(description="Every point, not a condensed series.")] = False


class TableQuery(Schema):
    format: Literal["json", "csv", "parquet"] = "json"
    layout: Annotated[Literal["long", "wide"], Field(description="A row per point, or a row per report.")] = "long"
    name: Annotated[list[Text], Field(description="May be given several times; all without it.")] = []
    attempts: Annotated[
        Literal["effective", "all"],
        Field(description="Without the points that a later attempt replaced by resuming before them, or with them."),
    ] = "effective"


class AttemptOut(Schema):
    number: int
    resumed_step: int | None
    resumed_epoch: int | None
    total_steps: int | None
    total_epochs: int | None


class BlockOut(Schema):
    """One list per name in `values`; condensed blocks have means there, and the lowest and highest beside them."""

    attempt: int
    names: Annotated[list[str], Field(examples=[["train/box_loss"]])]
    seq: list[int]
    step: Annotated[list[int], Field(description="-1 where there was none.")]
    epoch: Annotated[list[int], Field(description="-1 where there was none.")]
    time: Annotated[list[float], Field(description="Seconds since 1970.", examples=[[1760000000.5]])]
    values: Annotated[list[list[Number]], Field(examples=[[[0.71]]])]
    low: list[list[Number]] = []
    high: list[list[Number]] = []
    bad: Annotated[list[list[int]], Field(description="How many values were not finite.")] = []


class SeriesOut(Schema):
    job: int
    seq: Annotated[int, Field(description="How far it reaches; `after` of your next question.")]
    attempts: list[AttemptOut]
    blocks: list[BlockOut]


@router.get("/jobs/{int:job_id}/metrics", response=SeriesOut, url_name="job-metrics")
def job_metrics(request: HttpRequest, job_id: int, wanted: Query[MetricsQuery]) -> Any:
    """Its series in blocks of columns, condensed to 2,000 numbers each unless `full`; `seq` says how far it reaches."""
    _visible(request, job_id)
    series = job_series(job_id, wanted.after, wanted.name or None, UNLIMITED if wanted.full else MAX_POINTS)
    return HttpResponse(strict_dumps(series), content_type="application/json")


@router.get(
    "/jobs/{int:job_id}/metrics/table",
    url_name="job-metrics-table",
    openapi_extra={
        "responses": {
            200: {
                "description": "The table, in the format asked for",
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "required": ["columns", "rows"],
                            "properties": {
                                "columns": {"type": "array", "items": {"type": "string"}},
                                "rows": {"type": "array", "items": {"type": "array"}},
                            },
                        },
                        "example": TABLE_EXAMPLE,
                    },
                    "text/csv": {
                        "schema": {"type": "string"},
                        "example": "name,seq,attempt,step,epoch,time,value\r\ntrain/loss,3,1,100,1,1760000000.5,0.71",
                    },
                    PARQUET: {"schema": {"type": "string", "contentMediaType": PARQUET}, "example": "PAR1…"},
                },
            }
        }
    },
)
def job_metrics_table(request: HttpRequest, job_id: int, wanted: Query[TableQuery]) -> Any:
    """Every point, as a file. JSON has NaN and the infinities as strings; CSV and Parquet have them as they are."""
    job = _visible(request, job_id)
    require(caller_of(request).user, Action.DOWNLOAD, job)
    table = point_table(job_id, wanted.name or None, effective=wanted.attempts == "effective")
    name = f"job-{job_id}-metrics-{wanted.layout}.{wanted.format}"
    if wanted.format == "parquet":
        return _parquet(table, wanted.layout, name)
    if wanted.format == "csv":
        return download(csv_pieces(table, wanted.layout), "text/csv", name)
    return download(json_pieces(table, wanted.layout), "application/json", name)


def _parquet(table: PointTable, layout: str, name: str) -> Any:
    try:
        file = parquet_file(table, layout)
    except ParquetUnavailable as error:
        raise Refusal(503, str(error)) from error
    return download(file_pieces(file), PARQUET, name)


def _visible(request: HttpRequest, job_id: int) -> Any:
    caller = caller_of(request)
    return one_of(jobs_visible(caller.user, caller.organization_id), job_id)
