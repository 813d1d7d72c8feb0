"""Real trainers that hang, take too much, fill the disk or are killed: each ends with its reason and leaves nothing."""

import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from training.execution.launch import attempt_folder, worker_folder
from training.execution.leftovers import leftovers
from training.execution.workers import worker_announce, worker_recover
from training.jobs.attempts import attempt_started, job_claim
from training.jobs.clock import now_plus
from training.jobs.failures import Cause
from training.journal.reader import records_after
from training.models import Checkpoint, JobAttempt, JobState, Slot, Worker
from training.storage.store import internal_store
from training.tests.conftest import job_make
from training.tests.test_execution import scripted, start, states, wait_until  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)
SDK = "from trainers.sdk import TrainerSDK\n"


@pytest.fixture
def online(settings: Any, live_server: Any) -> str:
    """The platform's own address, at which a trainer reaches it."""
    settings.SITE_URL = live_server.url
    settings.TERM_GRACE_SECONDS = 0.5
    return live_server.url


def test_a_trainer_that_is_stopped_is_lost_ended_and_tried_again(scripted: Any, online: str) -> None:  # noqa: F811
    job = scripted(
        f"{SDK}import os, signal, time\n"
        "sdk = TrainerSDK(); sdk.report_started(3); time.sleep(1.5)\n"
        "os.kill(os.getpid(), signal.SIGSTOP); time.sleep(60)"
    )
    assert states(job) == ["claimed", "running", "lost", "queued"] and "hang" not in job.error_code
    assert Slot.objects.get().attempt is None


def test_a_trainer_without_the_sdk_that_is_stopped_is_ended_as_well(scripted: Any, online: str) -> None:  # noqa: F811
    job = scripted("import os, signal, time; os.kill(os.getpid(), signal.SIGSTOP); time.sleep(60)")
    assert states(job) == ["claimed", "lost", "queued"]


def test_a_trainer_that_hangs_too_often_fails_with_that_reason(scripted: Any, online: str, settings: Any) -> None:  # noqa: F811
    settings.MAX_ATTEMPTS = 1
    job = scripted("import os, signal, time; os.kill(os.getpid(), signal.SIGSTOP); time.sleep(60)")
    assert (job.state, job.error_code) == (JobState.FAILED, Cause.HANG)


def test_a_trainer_that_is_cut_off_from_the_platform_goes_on(scripted: Any, settings: Any) -> None:  # noqa: F811
    settings.SITE_URL = "http://127.0.0.1:9"  # nobody answers there
    job = scripted(f"{SDK}import os, time\nsdk = TrainerSDK(); time.sleep(6); os._exit(3)")
    assert (job.state, job.error_code) == (JobState.FAILED, Cause.EXIT_CODE)
    assert "lost" not in states(job)


@pytest.mark.parametrize("days", [-1, 1])
@pytest.mark.parametrize("whose", ["worker", "trainer"])
def test_a_clock_that_is_a_day_off_costs_nothing(
    scripted: Any,  # noqa: F811
    online: str,
    monkeypatch: Any,
    whose: str,
    days: int,
) -> None:
    """Leases go by the database's clock, and a report may bear a time that is a day off."""
    real, seconds = time.time, days * 86_400
    if whose == "worker":
        monkeypatch.setattr(time, "time", lambda: real() + seconds)
    job = scripted(
        "import time\nreal = time.time\n"
        + (f"time.time = lambda: real() + {seconds}\n" if whose == "trainer" else "")
        + f"{SDK}with TrainerSDK() as sdk:\n"
        "    sdk.report_started(1); time.sleep(2)\n"
        "    for n in range(10): sdk.report_progress({'n': n}, step=n)\n"
        "    sdk.report_completed({})\n"
    )
    assert job.state == JobState.COMPLETED and job.attempt == 1 and "lost" not in states(job)
    points = [record.values[0] for record in records_after(job.pk, 0) if record.names == ("n",)]
    assert points == list(range(10))
    assert not JobAttempt.objects.filter(lease_until__gt=now_plus(3600)).exists()


def test_a_trainer_beyond_its_memory_limit_is_stopped(scripted: Any, online: str) -> None:  # noqa: F811
    script = "import time; taken = bytearray(400_000_000); time.sleep(60)"
    job = scripted(script, memory_limit_gb=0.2)
    assert (job.error_type, job.error_code) == ("RESOURCE_ERROR", Cause.MEMORY_LIMIT)
    assert "0.2 GB are allowed" in job.error_message


def test_a_jobs_own_time_limit_counts(scripted: Any, online: str) -> None:  # noqa: F811
    job = scripted("import time; time.sleep(60)", time_limit_hours=0.5 / 3600)
    assert (job.error_type, job.error_code) == ("RESOURCE_ERROR", Cause.TIME_LIMIT)


def test_a_kill_while_memory_ran_out_is_named_so(scripted: Any, online: str, monkeypatch: Any) -> None:  # noqa: F811
    monkeypatch.setattr("training.execution.system.memory_use", lambda: (95.0, 100.0))
    job = scripted("import os, time; time.sleep(1); os.kill(os.getpid(), 9)")
    assert (job.error_type, job.error_code) == ("RESOURCE_ERROR", Cause.HOST_MEMORY)


def test_a_kill_without_a_sign_of_that_is_only_a_signal(scripted: Any, online: str, monkeypatch: Any) -> None:  # noqa: F811
    monkeypatch.setattr("training.execution.system.memory_use", lambda: (10.0, 100.0))
    job = scripted("import os, time; time.sleep(1); os.kill(os.getpid(), 9)")
    assert (job.error_type, job.error_code) == ("UNKNOWN_ERROR", Cause.SIGNAL) and "SIGKILL" in job.error_message


def test_memory_that_python_can_not_have_is_a_failure_of_memory(scripted: Any, online: str) -> None:  # noqa: F811
    job = scripted(
        f"{SDK}import resource\n"
        "with TrainerSDK() as sdk:\n"
        "    sdk.report_started(1)\n"
        "    try:\n"
        "        resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31)); bytearray(2**32)\n"
        "    except MemoryError as error:\n"
        "        sdk.report_failed(error)\n"
    )
    assert (job.error_type, job.error_code) == ("RESOURCE_ERROR", Cause.HOST_MEMORY)


def test_a_full_disk_leaves_the_checkpoint_before_it_intact(scripted: Any, online: str) -> None:  # noqa: F811
    job = scripted(
        f"{SDK}import resource\n"
        "with TrainerSDK() as sdk:\n"
        "    sdk.report_started(9)\n"
        "    open('last.pt', 'wb').write(b'1' * 100_000)\n"
        "    sdk.upload_checkpoint('last.pt', 'last', epoch=1)\n"
        "    assert sdk.wait_for_uploads(60)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "    try:\n"
        "        open('last.pt', 'wb').write(b'2' * 100_000)\n"
        "    except OSError as error:\n"
        "        sdk.report_failed(error)\n"
    )
    assert (job.error_type, job.error_code) == ("RESOURCE_ERROR", Cause.DISK_FULL)
    kept = Checkpoint.objects.get()
    assert kept.epoch == 1 and internal_store().get(kept.key) == b"1" * 100_000


def test_a_shim_that_is_killed_leaves_no_trainer_behind(scripted: Any, online: str) -> None:  # noqa: F811
    def kill_the_shim() -> None:
        wait_until(lambda: leftovers_of(psutil.Process()))
        for process in psutil.Process().children():
            if "shim.py" in " ".join(process.cmdline()):
                process.kill()

    killer = threading.Timer(1.0, kill_the_shim)
    killer.start()
    job = scripted("import time; time.sleep(60)")
    killer.join()
    assert job.state == JobState.FAILED and job.error_code in (Cause.SIGNAL, Cause.HOST_MEMORY)
    assert leftovers(worker_folder(Worker.objects.get())) == []


def leftovers_of(root: psutil.Process) -> list[psutil.Process]:
    return [child for child in root.children(recursive=True) if child.name().startswith("python")]


def test_a_starting_worker_ends_what_its_predecessor_left(cast: Any, worker: Worker, tmp_path: Path) -> None:
    job = job_make(cast)
    attempt = job_claim(job.pk, worker)
    assert attempt is not None
    attempt_started(job.pk, 1, {})
    folder = attempt_folder(attempt)
    (folder / "spool").mkdir(parents=True)
    orphan = start("import time; time.sleep(60)", tmp_path, SPOOL_DIR=str(folder / "spool"))
    wait_until(lambda: leftovers(folder))
    left = leftovers(folder)
    recovered = worker_recover(worker_announce("w1"))
    assert recovered == 1 and leftovers(folder) == [] and not folder.exists()
    wait_until(lambda: orphan.poll(0.1) is not None)
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in left)
    job.refresh_from_db()
    assert job.state == JobState.QUEUED and not Slot.objects.exclude(attempt=None).exists()
