"""Signs of life of a trainer on this machine: whether it still does anything, and how much memory it takes."""

import time
from collections.abc import Callable
from pathlib import Path

import psutil

from training.execution.system import CGROUP

BUSY_SHARE = 0.1  # of one core: a process that uses more is at work, even if it holds the interpreter's lock


class Pulse:
    """Tells a trainer that hangs from one that is only cut off from the network.

    The SDK touches a file in its spool folder, whether the platform answers or
    not. A trainer without the SDK has none, and hangs when it is stopped.
    """

    def __init__(self, file: Path, process_id: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._file, self._root, self._clock = file, process_id, clock
        self._seen: object = None
        self._since, self._cpu = clock(), 0.0

    def silent_seconds(self) -> float:
        """For how long the trainer has shown no sign of life; 0.0 while it does."""
        now, cpu, sign = self._clock(), self._cpu_seconds(), self._sign()
        at_work = cpu - self._cpu > BUSY_SHARE * max(now - self._since, 0.1)
        if sign != self._seen or sign is None or at_work:
            self._seen, self._since, self._cpu = sign, now, cpu
        return now - self._since

    def _sign(self) -> object:
        """What changes while the trainer lives; None where nothing speaks of a hang."""
        try:
            return self._file.stat().st_mtime_ns
        except OSError:
            return "stopped" if self._stopped() else None

    def _stopped(self) -> bool:
        return any(_status(process) in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP) for process in self._tree())

    def _cpu_seconds(self) -> float:
        return sum(map(_cpu_seconds, self._tree()))

    def _tree(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self._root).children(recursive=True)
        except psutil.Error:
            return []


def memory_of(process_id: int) -> int:
    """Bytes that everything below a process takes, shared pages counted once."""
    try:
        return sum(map(_proportional, psutil.Process(process_id).children(recursive=True)))
    except psutil.Error:
        return 0


def oom_kills() -> int:
    """How often the kernel has ended a process of this container, or machine, because memory ran out."""
    for file in (CGROUP / "memory.events", CGROUP / "memory" / "memory.oom_control", Path("/proc/vmstat")):
        try:
            words = dict(line.split()[:2] for line in file.read_text().splitlines() if line.strip())
        except (OSError, ValueError):
            continue
        if "oom_kill" in words:
            return int(words["oom_kill"])
    return 0


def _proportional(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
    except psutil.Error:
        return 0
    return int(getattr(full, "pss", full.rss))


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _status(process: psutil.Process) -> str:
    try:
        return str(process.status())
    except psutil.Error:
        return ""
