"""What a trainer can't read: the environment of the worker that started it, also as the same user."""

import ctypes
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from training.execution.executor import Launch
from training.execution.launch import attempt_folder, environment_make
from training.execution.owner import trainer_owner
from training.execution.shim import LOOKING_INTO_OTHERS
from training.execution.subprocess import process_start
from training.models import JobAttempt
from training.tests.test_execution import ended

SECRET = "postgres://user:very-secret@host/db"
READ = "import sys; sys.stdout.write(open(f'/proc/{sys.argv[1]}/environ').read())"
WORKER = f"""
import os, sys, time, django
from pathlib import Path
django.setup()
from training.execution.executor import Launch
from training.execution.subprocess import process_start
launch = Launch([sys.executable, "-c", {READ!r}, str(os.getpid())], {{}}, Path.cwd())
running = process_start(launch)
while running.poll(0.2) is None: pass
running.output.wait(10)
print(*[line.message for line in running.output.take()], sep="\\n")
"""
PR_CAPBSET_DROP = 24
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may start a process as another user")


def look_into_nobody() -> None:
    """As if by a plain user: without the right to look into every process."""
    for capability in LOOKING_INTO_OTHERS:
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def test_a_trainer_can_not_read_its_workers_environment(tmp_path: Path) -> None:
    given = {**os.environ, "DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "platform_site.settings"}
    given |= {"VERY_SECRET": SECRET}
    done = subprocess.run([sys.executable, "-c", WORKER], env=given, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0 and "Permission" in done.stdout and "very-secret" not in done.stdout, done


@pytest.mark.parametrize("hidden", [True, False], ids=["hidden", "not hidden"])
def test_a_process_that_hides_shows_its_environment_to_no_other_of_its_user(hidden: bool) -> None:
    hide = "from platform_site.privacy import process_hide; assert process_hide()\n" if hidden else ""
    given = {"PATH": os.environ["PATH"], "VERY_SECRET": SECRET}
    code = f"{hide}import sys; print('ready', flush=True); sys.stdin.read()"
    hiding = subprocess.Popen(
        [sys.executable, "-c", code], env=given, stdin=-1, stdout=-1, text=True, preexec_fn=look_into_nobody
    )
    assert hiding.stdout is not None and hiding.stdout.readline() == "ready\n"
    command = [sys.executable, "-c", READ, str(hiding.pid)]
    looked = subprocess.run(command, env={}, capture_output=True, text=True, preexec_fn=look_into_nobody, timeout=60)
    hiding.communicate()
    assert ("very-secret" in looked.stdout) is not hidden
    assert ("Permission denied" in looked.stderr) is hidden


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may enter."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@needs_root
@pytest.mark.django_db
def test_a_trainer_may_have_a_user_of_its_own(attempt: JobAttempt, settings: Any, open_folder: Path) -> None:
    settings.TRAINER_USER, settings.WORK_DIR = "nobody", open_folder / "work"
    settings.DATASET_CACHE_DIR = open_folder / "cache"
    work = Path(environment_make(attempt)["WORK_DIR"])
    secret = open_folder / ".env"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    command = ["/bin/sh", "-c", f"id -un; touch {work}/mine && echo written; cat {secret}; kill -9 $PPID; echo alive"]
    running = process_start(Launch(command, {"PATH": "/usr/bin:/bin"}, work))
    ended(running)
    running.output.wait(5)
    said = [line.message for line in running.output.take()]
    assert "nobody" in said and "written" in said and "alive" in said
    assert not any("very-secret" in line for line in said)
    assert attempt_folder(attempt).stat().st_mode & 0o777 == 0o700


def test_a_user_that_is_not_there_is_named(settings: Any) -> None:
    settings.TRAINER_USER = "nobody-at-all"
    with pytest.raises(OSError, match="TRAINER_USER=nobody-at-all"):
        trainer_owner()


def test_a_worker_that_is_not_root_may_not_switch(settings: Any, monkeypatch: Any) -> None:
    settings.TRAINER_USER = "nobody"
    monkeypatch.setattr("os.getuid", lambda: 4711)
    with pytest.raises(OSError, match="runs as root"):
        trainer_owner()
