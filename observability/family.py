"""Ending a process with everything that it has started."""

import os
import signal
from contextlib import suppress

import psutil


def family_kill(process_id: int) -> None:
    """Kill a process, its group and its descendants, also those that have left the group."""
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process_id).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.kill()
    with suppress(ProcessLookupError):
        os.killpg(process_id, signal.SIGKILL)
