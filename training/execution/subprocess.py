"""Processes on the worker's own machine, each behind a shim."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from training.execution.executor import Exit, Launch
from training.execution.output import Output
from training.execution.owner import trainer_owner

SHIM = Path(__file__).with_name("shim.py")


class SubprocessRunning:
    def __init__(self, shim: "subprocess.Popen[bytes]", control: socket.socket) -> None:
        assert shim.stdout is not None and shim.stderr is not None
        self._shim = shim
        self._control = control
        self._exit: Exit | None = None
        self.process_id = shim.pid
        self.output = Output({"stdout": shim.stdout, "stderr": shim.stderr})

    def poll(self, seconds: float) -> Exit | None:
        if self._exit is None:
            self._control.settimeout(max(seconds, 0.001))
            try:
                words = self._control.recv(32).decode().split()
            except TimeoutError:
                return None
            self._exit = self._ended(words)
        return self._exit

    def _ended(self, words: list[str]) -> Exit:
        code = self._shim.wait()
        self._control.close()
        if len(words) != 2:  # the shim itself was ended
            return Exit(signal=-code) if code < 0 else Exit(code=code)
        number = int(words[1])
        return Exit(signal=number) if words[0] == "signal" else Exit(code=number)

    def stop(self, force: bool = False) -> None:
        if self._exit is None:
            try:
                self._control.sendall(b"K" if force else b"T")
            except OSError:  # it has just ended
                return


def process_start(launch: Launch) -> SubprocessRunning:
    """Start a process behind a shim. Raises OSError if it can't be started."""
    shim, control = shim_start(launch)
    return SubprocessRunning(shim, control)


def shim_start(launch: Launch) -> "tuple[subprocess.Popen[bytes], socket.socket]":
    """The shim, and the worker's end of the socket to it."""
    owner = trainer_owner()
    ours, theirs = socket.socketpair()
    with theirs:
        shim = subprocess.Popen(
            [sys.executable, "-I", "-S", str(SHIM), str(theirs.fileno()), str(owner or "-"), *launch.command],
            cwd=launch.folder,
            env=launch.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    return shim, ours


def run_bounded(launch: Launch, seconds: float) -> Exit:
    """Start, wait at most `seconds`, stop; how it ended."""
    running = process_start(launch)
    deadline = time.monotonic() + seconds
    while (ended := running.poll(0.2)) is None:
        if time.monotonic() > deadline:
            running.stop(force=True)
    return ended


def signal_name(number: int) -> str:
    """SIGKILL for 9, and so on."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
