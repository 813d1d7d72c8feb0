"""The table of jobs as CSV, safe to open in a spreadsheet."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from training.jobs.table import TableRow
from training.jobs.table_query import Column
from training.tables import csv_lines

HEAD = (
    *("id", "name", "state", "project", "experiment", "trainer", "model", "dataset", "tags", "person"),
    *("created", "started", "ended", "seconds", "error", "message"),
)


def table_csv(chunks: Iterable[list[TableRow]], columns: Sequence[Column]) -> Iterator[str]:
    """The table as CSV (RFC 4180), in parts."""
    yield csv_lines([[*HEAD, *(column.name for column in columns)]])
    for rows in chunks:
        yield csv_lines(_row(one) for one in rows)


def _row(one: TableRow) -> list[Any]:
    job = one.job
    project = job.experiment.project
    ended = (job.ended_at - job.started_at).total_seconds() if job.ended_at and job.started_at else None
    who = job.created_by.get_username() if job.created_by else None
    return [
        *(job.pk, job.name, job.state, project.name, job.experiment.name, job.trainer, job.model_name),
        *(job.dataset.name if job.dataset else None, ", ".join(one.tags), who),
        *(job.created_at, job.started_at, job.ended_at, ended, job.error_type, job.error_message.partition("\n")[0]),
        *one.values,
    ]
