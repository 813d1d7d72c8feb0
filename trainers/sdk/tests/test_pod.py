"""The two programs of a pod and its probe, without a cluster."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trainers.sdk import pod

PROGRAM = Path(pod.__file__)


def begin(folder: Path, *words: str) -> "subprocess.Popen[str]":
    environment = {"PATH": os.environ["PATH"], "SPOOL_DIR": str(folder / "spool"), "WORK_DIR": str(folder / "work")}
    environment |= {"CALLBACK_URL": "http://127.0.0.1:9", "CALLBACK_TOKEN": "x", "PYTHONUNBUFFERED": "1"}
    home = PROGRAM.parents[2]
    command = [sys.executable, "trainers/sdk/pod.py", *words]
    return subprocess.Popen(command, cwd=home, env=environment, stdout=subprocess.PIPE, text=True)


def line_of(program: "subprocess.Popen[str]") -> str:
    assert program.stdout is not None
    return program.stdout.readline().strip()


def ignores(number: int, what: int) -> bool:
    """Whether a process ignores a signal, as the kernel tells it."""
    words = Path(f"/proc/{number}/status").read_text().split()
    return bool(int(words[words.index("SigIgn:") + 1], 16) >> (what - 1) & 1)


@pytest.mark.parametrize(("code", "told"), [("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 11)", 139)])
def test_the_container_ends_as_its_trainer_ended(tmp_path: Path, code: str, told: int) -> None:
    assert begin(tmp_path, "hold", "--", sys.executable, "-c", code).wait(30) == told


def test_a_trainer_that_ignores_term_is_killed_after_its_grace(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('there'); time.sleep(60)"
    program = begin(tmp_path, "hold", "--seconds", "0.5", "--", sys.executable, "-c", code)
    assert line_of(program) == "there"
    program.send_signal(signal.SIGTERM)
    assert program.wait(30) == 128 + signal.SIGKILL


def test_the_courier_waits_for_the_other_container_whatever_ends_it(tmp_path: Path) -> None:
    courier = begin(tmp_path, "courier", "--seconds", "1")
    code = "import os; print(os.getpid(), flush=True); import time; time.sleep(60)"
    program = begin(tmp_path, "hold", "--", sys.executable, "-c", code)
    trainer = int(line_of(program))
    while not ignores(courier.pid, signal.SIGTERM):
        time.sleep(0.05)
    courier.send_signal(signal.SIGTERM)  # the pod is to end, and there may be last words
    time.sleep(0.5)
    assert courier.poll() is None
    program.kill()
    os.kill(trainer, signal.SIGKILL)
    assert courier.wait(30) == 0
    program.wait(10)


def test_a_pulse_that_stands_still_is_no_sign_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pod.alive(tmp_path, 3.0)  # a trainer without the SDK promises nothing
    pulse = tmp_path / "pulse"
    pulse.touch()
    assert pod.alive(tmp_path, 3.0)
    os.utime(pulse, (time.time() - 10, time.time() - 10))
    used = iter([100.0, 100.0, 100.0, 105.0])
    monkeypatch.setattr(pod, "_cpu_seconds", lambda: next(used))
    (tmp_path / "probe").write_text(f"100.0 {time.time() - 10}")
    assert not pod.alive(tmp_path, 3.0)  # 0 s of a processor in 10 s
    (tmp_path / "probe").write_text(f"98.0 {time.time() - 10}")
    assert pod.alive(tmp_path, 3.0)  # 2 s: it is at work, though its pulse stands still
