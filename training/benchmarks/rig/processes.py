"""Programs that a benchmark starts: on a free port, with an end to every wait, and none left behind."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
from django.conf import settings

from platform_site.processes import Children
from training.benchmarks.rig import BenchmarkError

PROGRAM_SECONDS = 120.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(
    command: list[str], environment: Mapping[str, str], text: str = "", seconds: float = PROGRAM_SECONDS
) -> str:
    """Run a program to its end; what it printed. Raises BenchmarkError where it fails or takes longer."""
    try:
        done = subprocess.run(
            command,
            input=text,
            env=dict(environment),
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"{' '.join(command[:4])} takes longer than {seconds:g} s") from error
    if done.returncode != 0:
        raise BenchmarkError(f"{' '.join(command[:4])} failed ({done.returncode}):\n{done.stderr[-2000:]}")
    return done.stdout


class Server:
    """A server that runs, and the processes that belong to it."""

    def __init__(self, pid: int, port: int, seconds_to_start: float) -> None:
        self.port = port
        self.seconds_to_start = seconds_to_start
        self._process = psutil.Process(pid)
        self.processor_seconds_to_start = self.processor_seconds()

    @property
    def processes(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def processor_seconds(self) -> float:
        """Processor time that its processes have used so far."""
        times = [process.cpu_times() for process in self.processes]
        return sum(time.user + time.system for time in times)

    def memory(self) -> tuple[float, float]:
        """Resident MB of all its processes, and the same with shared pages counted once (PSS)."""
        resident = shared = 0
        for process in self.processes:
            memory = process.memory_full_info()
            resident, shared = resident + memory.rss, shared + memory.pss
        return resident / 1e6, shared / 1e6


@contextmanager
def server(
    name: str, command: list[str], environment: Mapping[str, str], folder: Path, port: int, path: str, seconds: float
) -> Iterator[Server]:
    """Start a server and wait until `path` answers 200; at the end, end it with all that it started."""
    children = Children(folder / "logs", dict(environment))
    start = time.perf_counter()
    child = children.start(name, command)
    assert child.process is not None
    try:
        answer_wait(f"http://127.0.0.1:{port}{path}", child.process, seconds)
        yield Server(child.process.pid, port, time.perf_counter() - start)
    except BenchmarkError as error:
        words = child.log.read_text("utf-8", "replace")[-2000:]
        raise BenchmarkError(f"{error}\nLast words of {name}:\n{words}") from error
    finally:
        children.stop()
        group_kill(child.process.pid)


def answer_wait(url: str, process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Return once the address answers 200. Raises BenchmarkError where it does not, or the process has ended."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.01)
    raise BenchmarkError(f"{url} did not answer within {seconds:g} s")


def group_kill(pid: int) -> None:
    """Kill what is left of a process group, such as workers of a server that has ended."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
