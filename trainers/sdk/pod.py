"""What runs in the two containers of a trainer's pod in a Kubernetes cluster, as `python trainers/sdk/pod.py …`.

`hold COMMAND…`: the trainer's container. It holds a lock on the spool's folder while it lives, starts the trainer in
WORK_DIR, passes SIGTERM on, ends it by SIGKILL after TERM_GRACE_SECONDS, and ends as the trainer ended (128 + n for
signal n).

`courier`: the container beside it. It waits until that lock is free, however the other container ended (the kernel
frees it when memory ran out, too), and sends what the spool still holds.

`alive --seconds N`: the kubelet's liveness probe; 1 if the trainer has shown no sign of life for N seconds.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

LOCK = "container.lock"
BUSY_SHARE = 0.1  # of one core: who uses more is at work, even if it holds the interpreter's lock
CPU_FILE = Path("/sys/fs/cgroup/cpu.stat")


def hold(spool: Path, work: Path, command: list[str], grace: float) -> int:
    """Run the trainer; its exit code, as a shell would tell it."""
    for folder in (spool, work, Path(os.environ.get("TMPDIR", work))):
        folder.mkdir(parents=True, exist_ok=True)
    lock = _locked(spool)
    home = os.getcwd()  # where `trainers/` lies
    paths = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH", "")]))
    ended: threading.Timer | None = None
    trainer = subprocess.Popen(
        command, cwd=work, env={**os.environ, "PYTHONPATH": paths}, start_new_session=True, stdin=subprocess.DEVNULL
    )

    def end(*_: object) -> None:
        nonlocal ended
        if ended is None:
            _signal(trainer, signal.SIGTERM)
            ended = threading.Timer(grace, _signal, [trainer, signal.SIGKILL])
            ended.daemon = True
            ended.start()

    signal.signal(signal.SIGTERM, end)
    code = trainer.wait()
    _signal(trainer, signal.SIGKILL)  # what it left behind in its session
    os.close(lock)
    return code if code >= 0 else 128 - code


def courier(spool: Path, seconds: float) -> int:
    """Wait for the end of the trainer's container and drain the spool; 0 when nothing is left to send."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the pod ends: the trainer's last words are still to be sent
    while not (spool / LOCK).exists():
        time.sleep(0.2)
    with (spool / LOCK).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
    command = [sys.executable, "-m", "trainers.sdk.drain", "--seconds", f"{seconds:g}"]
    return subprocess.run(command, check=False).returncode


def alive(spool: Path, seconds: float) -> bool:
    """Whether the pulse is fresh, or the container is at work. A trainer without a pulse promises nothing."""
    try:
        silent = time.time() - (spool / "pulse").stat().st_mtime
    except OSError:
        return True
    used, seen = _cpu_seconds(), spool / "probe"
    before, at = _read(seen)
    seen.write_text(f"{used} {time.time()}")
    at_work = used - before > BUSY_SHARE * max(time.time() - at, 0.1)
    return silent < seconds or at_work


def _locked(spool: Path) -> int:
    """The lock's descriptor. The file gets its name once it is locked, so that nobody finds it free too early."""
    new = spool / f"{LOCK}.new"
    descriptor = os.open(new, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    new.rename(spool / LOCK)
    return descriptor


def _signal(trainer: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(trainer.pid, number)
    except ProcessLookupError:  # it has ended
        return


def _cpu_seconds() -> float:
    """Of this container; 0 where the system does not tell."""
    try:
        words = CPU_FILE.read_text().split()
        return int(words[words.index("usage_usec") + 1]) / 1e6
    except (OSError, ValueError):
        return 0.0


def _read(seen: Path) -> tuple[float, float]:
    try:
        used, at = seen.read_text().split()
        return float(used), float(at)
    except (OSError, ValueError):  # the first probe
        return _cpu_seconds(), time.time()


def main(arguments: list[str]) -> int:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["hold", "courier", "alive"])
    parser.add_argument("--seconds", type=float, default=30.0)
    split = arguments.index("--") if "--" in arguments else len(arguments)
    chosen = parser.parse_args(arguments[:split])
    spool = Path(os.environ["SPOOL_DIR"])
    if chosen.what == "hold":
        return hold(spool, Path(os.environ["WORK_DIR"]), arguments[split + 1 :], chosen.seconds)
    if chosen.what == "courier":
        return courier(spool, chosen.seconds)
    return 0 if alive(spool, chosen.seconds) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
