"""A trainer killed with -9 right after a report returned has lost nothing of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from trainers.sdk.drain import drain
from trainers.sdk.tests.platform_server import TOKEN, Platform

ROUNDS, REPORTS = 20, 40
ROOT = Path(__file__).parents[3]

CHILD = """
import os, sys
from trainers.sdk import TrainerSDK
sdk = TrainerSDK()
sdk.report_started(total_epochs=1)
for step in range(int(sys.argv[1])):
    sdk.report_progress({"train/loss": step / 7, "lr/pg0": 0.01}, epoch=1, step=step)
os.kill(os.getpid(), 9)
"""


def run(arguments: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    environment = variables | {"PATH": os.environ["PATH"]}
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)


def test_twenty_killed_trainers_lose_no_report(variables, tmp_path):
    for round_number in range(ROUNDS):
        platform, count = Platform(), REPORTS + round_number * 37
        given = variables | {"CALLBACK_URL": platform.url, "SPOOL_DIR": str(tmp_path / str(round_number))}
        assert run(["-c", CHILD, str(count)], given).returncode == -signal.SIGKILL
        assert drain(tmp_path / str(round_number), platform.url, TOKEN, 10)[0]
        assert [content["step"] for _, kind, content in platform.records if kind == "progress"] == list(range(count))
        assert len(platform.bodies("started")) >= 1
        platform.stop()


def test_a_drain_that_reaches_nobody_says_so_in_one_line(variables, tmp_path, platform):
    run(["-c", CHILD, "5"], variables | {"CALLBACK_URL": "http://127.0.0.1:9/callback"})
    drained = run(["-m", "trainers.sdk.drain", "--seconds", "1"], variables | {"CALLBACK_URL": "http://127.0.0.1:9/c"})
    assert drained.returncode == 1
    assert drained.stdout.startswith("drain: 0 of 5 records delivered: ")


def test_a_drain_of_an_attempt_that_is_over_is_done(variables, platform):
    run(["-c", CHILD, "5"], variables | {"CALLBACK_URL": "http://127.0.0.1:9/callback"})
    platform.over = (409, {"error": "stale_attempt"})
    drained = run(["-m", "trainers.sdk.drain", "--seconds", "5"], variables)
    assert (drained.returncode, "stale_attempt" in drained.stdout) == (0, True)


def test_the_spool_is_drained_at_the_end_of_a_trainer_that_says_nothing(variables, platform):
    ended = run(["-c", CHILD.replace("os.kill(os.getpid(), 9)", ""), "700"], variables)
    assert ended.returncode == 0
    assert len(platform.records) == 700


def test_importing_the_sdk_loads_no_heavy_library(variables):
    code = "import trainers.sdk, sys; print({'numpy', 'torch', 'django', 'PIL'} & set(sys.modules))"
    assert run(["-c", code], variables).stdout.strip() == "set()"
