"""Processes that a dead shim or worker left behind, found by the spool that they were started with."""

import time
from pathlib import Path

import psutil

LOOK_SECONDS = 0.1
END_SECONDS = 5.0


def leftovers_end(folder: Path) -> int:
    """End every process of an attempt whose folder is `folder` or lies below it; how many there were.

    Children inherit the variable, whatever session or parent they have. Looks
    again until none is found: one may have been forking, or between two programs.
    """
    ended, deadline = 0, time.monotonic() + END_SECONDS
    while (found := leftovers(folder)) and time.monotonic() < deadline:
        ended += len(found)
        for process in found:
            _kill(process)
        psutil.wait_procs(found, timeout=END_SECONDS)
        time.sleep(LOOK_SECONDS)
    return ended


def leftovers(folder: Path) -> list[psutil.Process]:
    """Processes whose SPOOL_DIR lies in `folder`."""
    return [process for process in psutil.process_iter() if _is_of(process, folder)]


def _is_of(process: psutil.Process, folder: Path) -> bool:
    try:
        spool = process.environ().get("SPOOL_DIR", "")
    except (psutil.Error, OSError):  # it has ended, or is somebody else's
        return False
    return bool(spool) and Path(spool).is_relative_to(folder)


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return
