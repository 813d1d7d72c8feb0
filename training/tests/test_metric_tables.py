"""A job's points as tables: JSON, CSV and Parquet, long and wide, in pieces that do not grow with the run."""

import csv
import io
import json
import math
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest

from training.jobs import points
from training.jobs.parquet import ParquetUnavailable, file_pieces, parquet_file
from training.jobs.points import point_table
from training.jobs.tables import csv_pieces, json_pieces
from training.models import JobAttempt, TrainingJob
from training.tests.journal_entries import metrics, named, tell
from training.tests.rest_program import JOBS, Program

pytestmark = pytest.mark.django_db


@pytest.fixture
def told(job: TrainingJob) -> TrainingJob:
    """Three reports: of two metrics, of one of them, of another one."""
    tell(job, metrics(step=1, loss=1.5, map=float("nan")), metrics(step=2, epoch=1, loss=float("-inf")))
    tell(job, named("=cmd()", 7.0, step=3))
    return job


def content(response: Any) -> bytes:
    assert response.status_code == 200, response.content
    return b"".join(response)


def table(program: Program, job: TrainingJob, **query: Any) -> bytes:
    return content(program.get(f"{JOBS}/{job.pk}/metrics/table", **query))


def test_json_is_strict_and_has_a_row_per_point(program: Program, told: TrainingJob) -> None:
    found = json.loads(table(program, told), parse_constant=pytest.fail)
    rows = [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]
    assert [(row["name"], row["value"]) for row in rows] == [
        ("loss", 1.5),
        ("map", "NaN"),
        ("loss", "-Infinity"),
        ("=cmd()", 7.0),
    ]
    assert (rows[0]["step"], rows[0]["epoch"], rows[2]["epoch"]) == (1, None, 1)


def test_csv_has_a_row_per_report_and_its_own_numbers(program: Program, told: TrainingJob) -> None:
    text = table(program, told, format="csv", layout="wide").decode()
    header, *rows = csv.reader(io.StringIO(text))
    assert header == ["seq", "attempt", "step", "epoch", "time", "'=cmd()", "loss", "map"]
    assert [row[5:] for row in rows] == [["", "1.5", "NaN"], ["", "-Infinity", ""], ["7.0", "", ""]]
    assert math.isnan(float(rows[0][7])) and float(rows[1][6]) == -math.inf


@pytest.mark.parametrize("layout", ["long", "wide"])
def test_parquet_holds_what_json_holds(program: Program, told: TrainingJob, layout: str) -> None:
    file = pq.read_table(io.BytesIO(table(program, told, format="parquet", layout=layout)))
    found = json.loads(table(program, told, layout=layout))
    assert file.column_names == found["columns"]
    rows = [list(row.values()) for row in file.to_pylist()]
    same = json.loads(json.dumps(rows).replace("-Infinity", '"-Infinity"').replace("NaN", '"NaN"'))
    assert same == found["rows"]


def test_only_the_names_that_were_asked_for_are_told(program: Program, told: TrainingJob) -> None:
    found = json.loads(table(program, told, name=["map", "nothing"], layout="wide"))
    assert found["columns"][5:] == ["map"] and [row[5] for row in found["rows"]] == ["NaN"]
    assert json.loads(table(program, told, name="nothing"))["rows"] == []
    assert pq.read_table(io.BytesIO(table(program, told, name="nothing", format="parquet"))).num_rows == 0


def test_points_that_a_later_attempt_replaced_come_on_wish(
    program: Program,
    attempt: JobAttempt,
    job: TrainingJob,
) -> None:
    tell(job, *(metrics(step=step, loss=float(step)) for step in (1, 2, 3)))
    fields = {"opened_at": attempt.opened_at, "lease_until": attempt.lease_until}
    JobAttempt.objects.create(job=job, number=attempt.number + 1, resumed_step=1, **fields)
    values = [row[-1] for row in json.loads(table(program, job))["rows"]]
    every = [row[-1] for row in json.loads(table(program, job, attempts="all"))["rows"]]
    assert (values, every) == ([1.0], [1.0, 2.0, 3.0])


def test_a_job_that_has_said_nothing_has_an_empty_table(program: Program, job: TrainingJob) -> None:
    assert json.loads(table(program, job)) == {
        "columns": ["name", "seq", "attempt", "step", "epoch", "time", "value"],
        "rows": [],
    }
    assert table(program, job, format="csv").decode().splitlines() == ["name,seq,attempt,step,epoch,time,value"]


@pytest.mark.parametrize("pieces", [csv_pieces, json_pieces])
def test_pieces_are_read_as_they_are_sent(job: TrainingJob, monkeypatch: pytest.MonkeyPatch, pieces: Any) -> None:
    tell(job, *(metrics(step=step, loss=float(step)) for step in range(95)))
    reads: list[int] = []
    read = points.metric_rows
    monkeypatch.setattr(points, "ROWS", 10)
    monkeypatch.setattr(points, "metric_rows", lambda *a: reads.append(1) or read(*a))  # type: ignore[func-returns-value]
    parts = pieces(point_table(job.pk), "long")
    for number in range(4):
        next(parts)
        assert len(reads) <= number + 1
    assert len(list(parts)) >= 6 and len(reads) == 11


def test_many_names_make_blocks_shorter(job: TrainingJob, monkeypatch: pytest.MonkeyPatch) -> None:
    tell(job, *(metrics(step=step, a=1.0, b=2.0) for step in range(20)))
    monkeypatch.setattr(points, "CELLS", 10)
    assert {len(block.columns.seq) for block in point_table(job.pk).blocks()} == {5}


def test_a_metric_that_is_called_as_a_place_keeps_apart(program: Program, job: TrainingJob) -> None:
    tell(job, metrics(step=4, time=1.0, epoch=2, seq=9.0))
    file = pq.read_table(io.BytesIO(table(program, job, layout="wide", format="parquet")))
    assert file.column_names[5:] == ["metric/seq"] and file["metric/seq"].to_pylist() == [9.0]


def test_a_parquet_writer_that_dies_is_503_and_leaves_no_process(
    program: Program,
    told: TrainingJob,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
    tmp_path: Any,
) -> None:
    settings.BASE_DIR = tmp_path  # the program is not there
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(*words: Any, **more: Any) -> Any:
        started.append(popen(*words, **more, env={}))
        return started[-1]

    monkeypatch.setattr("training.jobs.parquet.subprocess.Popen", start)
    response = program.get(f"{JOBS}/{told.pk}/metrics/table", format="parquet")
    assert response.status_code == 503 and started[0].returncode not in (None, 0)


def test_a_table_that_breaks_while_it_is_read_leaves_no_process(told: TrainingJob, monkeypatch: Any) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("the database is away")

    monkeypatch.setattr(points, "metric_rows", broken)
    with pytest.raises(RuntimeError):
        parquet_file(point_table(told.pk), "long")


def test_a_file_is_closed_when_nobody_reads_on(told: TrainingJob) -> None:
    file = parquet_file(point_table(told.pk), "long")
    pieces = file_pieces(file)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert file.closed


def test_only_so_many_files_are_written_at_a_time(told: TrainingJob, monkeypatch: Any) -> None:
    monkeypatch.setattr("training.jobs.parquet.writers", SimpleNamespace(acquire=lambda timeout: False))
    with pytest.raises(ParquetUnavailable):
        parquet_file(point_table(told.pk), "long")


def test_the_writer_of_parquet_knows_no_django() -> None:
    code = "import sys, training.jobs.parquet_writer; print('django' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False", done.stderr
