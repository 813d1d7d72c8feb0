"""The trainer of twenty lines does what its page says."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "example"


def run(platform, variables):
    command = [sys.executable, "-m", "trainers.example.train"]
    return subprocess.run(command, cwd=EXAMPLE.parents[1], env=variables, capture_output=True, text=True, timeout=30)


def test_it_reports_its_epochs_and_completes(platform, variables):
    assert run(platform, variables | {"EPOCHS": "3"}).returncode == 0
    assert [(number, round(metrics["train/loss"], 3)) for number, metrics in platform.points()] == [
        (1, 0.8),
        (2, 0.64),
        (3, 0.512),
    ]
    assert [call for call, _ in platform.calls] == ["started", "progress", "progress", "progress", "completion"]


def test_it_ends_when_it_is_cancelled(platform, variables):
    platform.cancel = True
    assert run(platform, variables).returncode == 0
    assert platform.bodies("completion") == [{"status": "cancelled", "last_no": 1}]


def test_it_has_twenty_lines_of_the_standard_library():
    source = (EXAMPLE / "train.py").read_text()
    assert len([line for line in source.splitlines() if line.strip()]) <= 20
    imported = {
        name.name.split(".")[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import)
        for name in node.names
    }
    assert imported <= set(sys.stdlib_module_names)


def test_its_manifest_names_its_module():
    assert tomllib.loads((EXAMPLE / "trainer.toml").read_text())["module"] == "trainers.example.train"
