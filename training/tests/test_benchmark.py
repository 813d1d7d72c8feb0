"""A short run of each benchmark ends by itself, says its figures as JSON, and would notice a lost point."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.conf import settings

from training.benchmarks.ingest import SCENARIOS, Contender
from training.benchmarks.rig import BenchmarkError
from training.benchmarks.rig.database import fresh_database
from training.benchmarks.rig.load import Client, mlflow_body, ours_body, whole_body
from training.benchmarks.rig.site import site, stored_check
from training.management.commands.benchmark import benchmark_names

pytestmark = pytest.mark.once

SHORT = {
    "ingest": ["--seconds", "0.2", "--pairs", "1"],
    "sdk": ["--reports", "20", "--pairs", "1", "--rounds", "2"],
    "web": ["--pairs", "1", "--requests", "8"],
    "data": ["--files", "200", "--downloads", "30", "--boxes", "70", "--pairs", "1"],
    "large_data": ["--files", "40", "--megabytes", "1", "--images", "20"],
    "pages": ["--points", "20000", "--parts", "windows", "--no-limits"],
}


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """`manage.py benchmark`, with everything temporary below `folder`."""
    (folder / "temporary").mkdir()
    variables = {**os.environ, "DATA_DIR": str(folder / "data"), "TMPDIR": str(folder / "temporary")}
    command = [sys.executable, "manage.py", "benchmark", *arguments]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=settings.BASE_DIR, env=variables, **pipes)


def left_behind(folder: Path) -> list[str]:
    """Processes that still know the folder, and files in it."""
    found = [path.name for path in (folder / "temporary").iterdir()]
    for process in psutil.process_iter(["environ"]):
        if str(folder) in (process.info["environ"] or {}).get("DATA_DIR", ""):
            found.append(" ".join(process.cmdline()))
    return found


@pytest.mark.parametrize("name", SHORT)
def test_a_short_run_ends_with_a_line_of_strict_json(name: str, tmp_path: Path) -> None:
    process = start(tmp_path, name, *SHORT[name])
    out, err = process.communicate(timeout=110)
    assert process.returncode == 0, err
    figures = json.loads(out.splitlines()[-1], parse_constant=pytest.fail)
    assert figures["benchmark"] == name and figures["cpus"] and figures["python"]
    assert (figures["databases"], figures["pairs"]) == (["sqlite"], 1)
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_leaves_nothing_behind(number: signal.Signals, tmp_path: Path) -> None:
    process = start(tmp_path, "ingest", "--seconds", "60")
    deadline = time.monotonic() + 60
    while not list((tmp_path / "temporary").glob("*/*/logs/web.log")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(number)
    process.communicate(timeout=40)
    assert process.returncode == 128 + number
    assert left_behind(tmp_path) == []


def test_without_a_name_all_are_listed(tmp_path: Path) -> None:
    out, _ = start(tmp_path).communicate(timeout=60)
    assert all(name in out for name in benchmark_names())
    assert set(SHORT) <= set(benchmark_names())


def test_a_point_that_was_acknowledged_and_is_not_stored_is_noticed(tmp_path: Path) -> None:
    with site("sqlite", tmp_path / "site", 1) as ours:
        contender = Contender("ours", "ours", ours.server, ours.clients, ours.database.points, "sqlite")
        contender.load(SCENARIOS[2], 0.1)
        with closing(sqlite3.connect(ours.database.url.removeprefix("sqlite:///"))) as connection, connection:
            connection.execute("DELETE FROM training_journalrecord WHERE seq = 1")
        with pytest.raises(BenchmarkError, match="acknowledged"):
            contender.load(SCENARIOS[2], 0.1)


def test_fewer_and_more_than_acknowledged_are_both_wrong() -> None:
    for stored in (9, 11):
        with pytest.raises(BenchmarkError):
            stored_check("ours", stored, 10)


def test_another_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="sqlite or postgres"), fresh_database("mysql://here", tmp_path):
        pass


def test_both_dialects_say_the_same_points() -> None:
    client, names = Client("/", {}, "a-run", reports=3), ["a", "b"]
    plain = json.loads(ours_body(names, 1)(client))
    compact = json.loads(ours_body(names, 2)(client))
    theirs = json.loads(mlflow_body(names, 2)(client))["metrics"]
    assert (plain["no"], list(plain["metrics"])) == (4, names)
    ours = {(name, row[2], value) for row in compact["rows"] for name, value in zip(names, row[4], strict=True)}
    assert {(point["key"], point["step"], point["value"]) for point in theirs} == ours


def test_an_answer_in_chunks_is_read_when_it_is_whole() -> None:
    head, chunks = b"http/1.1 200 ok\r\ntransfer-encoding: chunked", b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    assert [whole_body(head, chunks[:9]), whole_body(head, chunks)] == [None, b"abcde"]
