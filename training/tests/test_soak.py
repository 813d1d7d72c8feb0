"""The soak counts right and would notice what is lost, doubled or not shown; short ones of it and of the flood."""

import json
from pathlib import Path
from typing import Any

import pytest

from training.benchmarks.soak import _judge
from training.tests.test_benchmark import left_behind, start

CLEAN: dict[str, Any] = {
    "stored": {"1-1": [1, 2, 3]},
    "shown": {"1-1": [1, 2, 3]},
    "states": {"completed": 1},
    "slots_taken": 0,
}


@pytest.fixture
def said(tmp_path: Path) -> Path:
    (tmp_path / "1-1").write_text("1\n2\n3\n")
    return tmp_path


def test_what_was_reported_stored_and_shown_alike_is_clean(said: Path) -> None:
    figures = _judge(CLEAN, said)
    assert "missed" not in figures and (figures["reported"], figures["stored"], figures["shown"]) == (3, 3, 3)


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({"stored": {"1-1": [1, 3]}, "shown": {"1-1": [1, 3]}}, "lost: 1"),
        ({"stored": {"1-1": [1, 2, 2, 3]}, "shown": {"1-1": [1, 2, 2, 3]}}, "doubled: 1"),
        ({"shown": {"1-1": [1, 2]}}, "attempts shown otherwise: 1"),
        ({"states": {"completed": 1, "running": 2}}, "not terminal: 2"),
        ({"slots_taken": 1}, "leaked slots: 1"),
    ],
)
def test_whatever_is_wrong_is_named(said: Path, change: dict[str, Any], missed: str) -> None:
    assert _judge({**CLEAN, **change}, said)["missed"] == [missed]


@pytest.mark.end_to_end
@pytest.mark.timeout(300)
def test_a_short_soak_is_clean_and_leaves_nothing_behind(tmp_path: Path) -> None:
    process = start(tmp_path, "soak", "--minutes", "0.25", "--trainers", "2", "--pages", "4", "--every", "5")
    out, err = process.communicate(timeout=280)
    assert process.returncode == 0, out[-3000:] + err
    figures = json.loads(out.splitlines()[-1])
    assert figures["reported"] == figures["stored"] == figures["shown"] > 0 and sum(figures["kills"].values()) > 0
    assert left_behind(tmp_path) == []


@pytest.mark.end_to_end
@pytest.mark.timeout(300)
def test_a_short_flood_tells_what_it_cost_and_leaves_nothing_behind(tmp_path: Path) -> None:
    process = start(tmp_path, "flood", "--pairs", "1", "--seconds", "1")
    out, err = process.communicate(timeout=280)
    assert process.returncode == 0, out[-3000:] + err
    figures = json.loads(out.splitlines()[-1])
    assert figures["lines_stored"] == figures["lines_said"] or figures["marks_of_cuts"]  # what was cut is marked
    assert figures["p99_ratio"] > 0 and figures["memory_mb"]["training"]["most"] < 1000
    assert left_behind(tmp_path) == []
