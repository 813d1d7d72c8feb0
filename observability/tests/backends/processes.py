"""Servers that the tests start on 127.0.0.1, and end."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "PYTHONUNBUFFERED": "1"}
QUIET |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # eight processes that have nothing to do with tracking


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def quiet_environment() -> dict[str, str]:
    return os.environ | QUIET


@contextmanager
def ended(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """The process, which leads a group of its own, and all that it started are gone afterwards."""
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
                process.wait(2)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
