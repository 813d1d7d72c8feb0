"""How a trainer's process is started, watched and stopped, wherever it runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from training.execution.output import Output


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start: a command, its whole environment, and the folder that it works in."""

    command: list[str]
    environment: dict[str, str]
    folder: Path


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: by an exit code, or by a signal."""

    code: int | None = None
    signal: int | None = None


class Running(Protocol):
    """A trainer that was started."""

    output: Output
    process_id: int

    def poll(self, seconds: float) -> Exit | None:
        """Wait at most `seconds` for the end; how it ended, or None while it runs."""

    def stop(self, force: bool = False) -> None:
        """Ask everything that it started to end (TERM), or end it (KILL)."""


class Executor(Protocol):
    def start(self, launch: Launch) -> Running:
        """Start a trainer. Raises OSError if it can't be started."""
