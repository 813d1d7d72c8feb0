"""A short run of each of the followers' benchmarks ends by itself, and says its figures as JSON."""

import json
from pathlib import Path

import pytest

from training.management.commands.benchmark import benchmark_names
from training.tests.test_benchmark import left_behind, start

pytestmark = [pytest.mark.timeout(300), pytest.mark.once]
SHORT = {
    "delivery": ["--backend", "tensorboard", "--backend", "clearml", "--reports", "50", "--pairs", "1"],
    "followers": ["--pairs", "1", "--seconds", "1"],
    "backfill": ["--jobs", "8", "--points", "200"],
}


@pytest.mark.parametrize("name", SHORT)
def test_a_short_run_ends_with_a_line_of_strict_json(name: str, tmp_path: Path) -> None:
    process = start(tmp_path, name, *SHORT[name])
    out, err = process.communicate(timeout=280)
    assert out, err
    figures = json.loads(out.splitlines()[-1], parse_constant=pytest.fail)
    assert figures["benchmark"] == name and figures["databases"] == ["sqlite"]
    assert process.returncode == (1 if figures["missed"] else 0), err
    assert name != "backfill" or not figures["missed"]  # the others' ratios mean nothing in so short a run
    assert left_behind(tmp_path) == []


def test_they_are_listed_beside_those_of_training() -> None:
    assert {*SHORT, "ingest", "sdk"} <= set(benchmark_names())
