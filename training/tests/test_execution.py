"""Real processes under the shim and the supervisor: how they end, and that nothing of them is left."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from training.execution.executor import Exit, Launch
from training.execution.launch import environment_make
from training.execution.subprocess import SubprocessRunning, process_start, run_bounded
from training.execution.supervisor import attempt_run
from training.jobs.attempts import job_claim
from training.jobs.services import job_cancel
from training.journal.reader import lines_after, records_after
from training.models import JobAttempt, JobState, RecordKind, Slot, TrainingJob, Worker
from training.tests.conftest import job_make

FORKS = "import os,time; [os.fork() for _ in range(2)]; os.setsid() if os.fork() == 0 else 0; time.sleep(60)"


def start(code: str, folder: Path, **variables: str) -> SubprocessRunning:
    environment = {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **variables}
    return process_start(Launch([sys.executable, "-c", code], environment, folder))


def family(process_id: int) -> list[psutil.Process]:
    try:
        return psutil.Process(process_id).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def wait_until(truth: Any, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not truth():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def ended(running: SubprocessRunning) -> Exit:
    wait_until(lambda: running.poll(0.1) is not None)
    how = running.poll(0)
    assert how is not None
    return how


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("print('hi')", Exit(code=0)),
        ("raise SystemExit(3)", Exit(code=3)),
        ("import os; os.kill(os.getpid(), 9)", Exit(signal=9)),
        ("import os; os.abort()", Exit(signal=6)),
        ("raise SystemExit(137)", Exit(code=137)),
    ],
)
def test_an_exit_code_and_a_signal_are_told_apart(tmp_path: Path, code: str, how: Exit) -> None:
    assert ended(start(code, tmp_path)) == how


def test_a_command_that_is_missing_says_so(tmp_path: Path) -> None:
    running = process_start(Launch(["/no/such/program"], {}, tmp_path))
    assert ended(running) == Exit(code=127)
    running.output.wait(2)
    assert "could not be started" in running.output.take()[0].message


def test_force_ends_everything_even_in_other_sessions(tmp_path: Path) -> None:
    running = start(FORKS, tmp_path)
    wait_until(lambda: len(family(running.process_id)) >= 6)
    all_of_it = family(running.process_id)
    running.stop(force=True)
    assert ended(running).signal == 9
    wait_until(lambda: not any(process.is_running() for process in all_of_it))


def test_what_a_trainer_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    running = start("import os,time\nif os.fork() == 0: os.setsid(); time.sleep(60)\ntime.sleep(1.5)", tmp_path)
    wait_until(lambda: len(family(running.process_id)) == 2)
    left = family(running.process_id)
    assert ended(running) == Exit(code=0)
    wait_until(lambda: not any(process.is_running() for process in left))


def test_the_trainer_ends_when_its_worker_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys,time; from pathlib import Path\n"
        "from training.execution.subprocess import process_start; from training.execution.executor import Launch\n"
        f"r = process_start(Launch([sys.executable, '-c', {FORKS!r}], {{}}, Path({str(tmp_path)!r})))\n"
        "print(r.process_id, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "platform_site.settings", "DATA_DIR": str(tmp_path)}
    code = "import django; django.setup()\n" + code
    worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    assert worker.stdout is not None
    shim = int(worker.stdout.readline())
    wait_until(lambda: len(family(shim)) >= 6)
    all_of_it = [psutil.Process(shim), *family(shim)]
    worker.kill()
    worker.wait()
    worker.stdout.close()
    wait_until(lambda: not any(process.is_running() for process in all_of_it))


def test_a_bounded_run_is_ended_when_its_time_is_over(tmp_path: Path) -> None:
    launch = Launch([sys.executable, "-c", "import time; time.sleep(60)"], {}, tmp_path)
    assert run_bounded(launch, 0.5).signal == 9


def script_train(
    place: Path, cast: Any, worker: Worker, script: str, stopping: threading.Event | None = None, **fields: Any
) -> TrainingJob:
    """Run a script as the trainer of a new job under the real supervisor; `place` is TRAINERS_DIR."""
    folder = place / "scripted"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "__init__.py").touch()
    (place / "__init__.py").touch()
    (folder / "train.py").write_text(script)
    manifest = f'label = "S"\nmodule = "{place.name}.scripted.train"\ntasks = ["detection"]\n'
    (folder / "trainer.toml").write_text(manifest)
    job = job_make(cast, trainer="scripted", **fields)
    attempt = job_claim(job.pk, worker)
    assert attempt is not None
    attempt_run(attempt, stopping or threading.Event())
    job.refresh_from_db()
    return job


def states(job: TrainingJob) -> list[str]:
    """Those that a job has been in, as its events tell."""
    return [record.event["to"] for record in records_after(job.pk, 0) if record.event and record.event.get("to")]


@pytest.fixture
def scripted(settings: Any, tmp_path: Path, cast: Any, worker: Worker) -> Any:
    """Runs a script as the trainer of a new job under the real supervisor; gives back the job."""
    settings.TRAINERS_DIR = tmp_path / "spare_trainers"
    settings.SYSTEM_METRICS_SECONDS = 0.2
    settings.HEARTBEAT_SECONDS, settings.LEASE_SECONDS = 0.5, 1.5

    def run(script: str, stopping: threading.Event | None = None, **fields: Any) -> TrainingJob:
        return script_train(tmp_path / "spare_trainers", cast, worker, script, stopping, **fields)

    return run


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("import no_such_module", "No module named 'no_such_module'"),
        ("import sys; print('last words', file=sys.stderr); sys.exit(3)", "exit code 3.\n\nlast words"),
        ("print('done')", "ended without saying so"),
        ("import os; os.kill(os.getpid(), 11)", "SIGSEGV"),
    ],
)
def test_an_end_without_a_word_is_a_failure_with_a_reason(scripted: Any, script: str, words: str) -> None:
    job = scripted(script)
    assert job.state == JobState.FAILED and words in job.error_message
    assert Slot.objects.get().attempt is None and JobAttempt.objects.get().outcome == "failed"


@pytest.mark.django_db(transaction=True)
def test_a_hundred_thousand_lines_are_all_stored(scripted: Any) -> None:
    job = scripted("for n in range(100_000): print('line', n)")
    seq, stored = 0, []
    while lines := lines_after(job.pk, seq, 20_000):
        stored += [line.message for line in lines if line.source == "stdout"]
        seq = lines[-1].seq
    assert len(stored) == 100_000 and stored[-1] == "line 99999"


@pytest.mark.django_db(transaction=True)
def test_the_machines_load_is_recorded(scripted: Any) -> None:
    job = scripted("import time; time.sleep(1)")
    names = {name for record in records_after(job.pk, 0, kinds=[RecordKind.METRICS]) for name in record.names}
    assert {"system/cpu.utilization", "system/memory.percent", "system/trainer.memory_gib"} <= names


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_stops_hands_the_job_back(scripted: Any) -> None:
    stopping = threading.Event()
    threading.Timer(0.6, stopping.set).start()
    job = scripted("import time; time.sleep(60)", stopping)
    assert job.state == JobState.QUEUED


@pytest.mark.django_db(transaction=True)
def test_a_trainer_that_ignores_the_request_to_end_is_ended(scripted: Any, cast: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("training.execution.supervisor.KILL_SECONDS", 0.5)
    threading.Timer(0.8, lambda: job_cancel(TrainingJob.objects.get(), cast.owner)).start()
    job = scripted("import signal,time; signal.signal(15, signal.SIG_IGN); time.sleep(60)")
    assert job.state == JobState.CANCELLED


@pytest.mark.django_db(transaction=True)
def test_the_time_limit_ends_a_run_with_its_reason(scripted: Any, settings: Any) -> None:
    settings.TIME_LIMIT_HOURS = 0.5 / 3600
    job = scripted("import time; time.sleep(60)")
    assert job.state == JobState.FAILED and "time limit" in job.error_message


@pytest.mark.django_db
def test_a_trainer_is_given_no_secret(attempt: JobAttempt, settings: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("DJANGO_SECRET_KEY", "very secret")
    monkeypatch.setenv("DATABASE_URL", "postgres://user:very-secret@host/db")
    job_make_manifest(settings)
    environment = environment_make(attempt)
    assert "secret" not in str({**environment, "CALLBACK_TOKEN": ""})
    assert not {"DATABASE_URL", "REDIS_URL", "DJANGO_SECRET_KEY"} & environment.keys()


def job_make_manifest(settings: Any) -> None:
    folder = Path(settings.WORK_DIR) / "trainers" / "ultralytics"
    folder.mkdir(parents=True)
    (folder / "trainer.toml").write_text('label = "U"\nmodule = "trainers.ultralytics.train"\ntasks = ["detection"]\n')
    settings.TRAINERS_DIR = folder.parent
