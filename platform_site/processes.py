"""The platform's processes as children of one: started together, watched, ended together."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

PR_SET_PDEATHSIG = 1
STOP_SECONDS = 45.0  # a trainer saves its last checkpoint, a web process finishes what it has begun


@dataclass
class Child:
    """One process and the file that holds what it prints."""

    name: str
    command: list[str]
    log: Path
    process: "subprocess.Popen[bytes] | None" = None
    exit_code: int | None = field(default=None)


class Children:
    """Starts processes, notices when one dies, and ends all of them."""

    def __init__(
        self, folder: Path, environment: dict[str, str], echo: Callable[[str, str], None] | None = None
    ) -> None:
        self._folder = folder
        self._environment = environment
        self._echo = echo
        self.all: list[Child] = []
        folder.mkdir(parents=True, exist_ok=True)

    def start(self, name: str, command: list[str]) -> Child:
        child = Child(name, command, self._folder / f"{name}.log")
        child.process = subprocess.Popen(
            command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches us alone, and we end them in order
            preexec_fn=_end_with_parent,
        )
        threading.Thread(target=self._copy, args=(child,), name=f"log-{name}", daemon=True).start()
        self.all.append(child)
        return child

    def dead(self) -> Child | None:
        """The first child that has ended by itself."""
        for child in self.all:
            if child.process is not None and (code := child.process.poll()) is not None:
                child.exit_code = code
                return child
        return None

    def stop(self) -> None:
        """End all: workers together, so that they can still report; then the first, the web process."""
        for group in (self.all[1:], self.all[:1]):
            processes = [child.process for child in group if child.process is not None]
            for process in processes:
                process.send_signal(signal.SIGTERM)
            for process in processes:
                _wait(process, STOP_SECONDS)

    def _copy(self, child: Child) -> None:
        assert child.process is not None and child.process.stdout is not None
        with open(child.log, "ab") as log:
            for line in child.process.stdout:
                log.write(line)
                log.flush()
                if self._echo:
                    self._echo(child.name, line.decode(errors="replace").rstrip())


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _wait(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while process.poll() is None:
        if time.monotonic() > deadline:
            process.kill()
        time.sleep(0.05)


def python(*arguments: str) -> list[str]:
    """The command for a Python program of this environment."""
    return [sys.executable, *arguments]


def environment(**changes: str) -> dict[str, str]:
    """This process's variables and some more."""
    return {**os.environ, "PYTHONUNBUFFERED": "1", **changes}
