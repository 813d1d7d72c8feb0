"""How a trainer is started, watched and stopped, wherever it runs: on the worker's machine, or in a cluster."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from training.execution.output import Output
from training.models import JobAttempt, Worker

DRAIN_SECONDS = 30.0  # for what a dead trainer's spool still holds


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start: a command, its whole environment, and the folder that it works in."""

    command: list[str]
    environment: dict[str, str]
    folder: Path


@dataclass(frozen=True, slots=True)
class Exit:
    """How a trainer ended: by an exit code, or by a signal.

    `gone` says why it ended without a fault of its own (its node was drained, say), `hung` why it was ended as one
    that hangs; both are empty where that was not so.
    """

    code: int | None = None
    signal: int | None = None
    gone: str = ""
    hung: str = ""


class Running(Protocol):
    """A trainer that was started."""

    output: Output

    def poll(self, seconds: float) -> Exit | None:
        """Wait at most `seconds` for the end; how it ended, or None while it runs. Raises OSError if it can't start."""

    def stop(self, force: bool = False) -> None:
        """Ask everything that it started to end (TERM), or end it (KILL)."""

    def settle(self) -> None:
        """After its end: nothing that it started is left, and its output has been read."""

    def sample(self) -> dict[str, float]:
        """What it and its machine use, by metric name; without what can't be told from here."""

    def memory(self) -> int:
        """Bytes that it takes, counted as well as can be; 0 where something else watches its limit."""

    def silent_seconds(self) -> float:
        """For how long it has shown no sign of life; 0.0 while it does, or where something else watches it."""

    def oom_kills(self) -> int:
        """How often the system has ended a process for lack of memory since it started."""


class Executor(Protocol):
    """One place where trainers run."""

    def devices(self) -> dict[str, str]:
        """The slots that a worker offers here: labels by device."""

    def start(self, attempt: JobAttempt) -> Running:
        """Start an attempt's trainer. Raises OSError or ValidationError if that can't be."""

    def drain(self, attempt: JobAttempt) -> None:
        """Send what a dead trainer's spool still holds, for at most DRAIN_SECONDS."""

    def clear(self, attempt: JobAttempt) -> None:
        """Remove everything of an attempt, what still runs of it too."""

    def recover(self, worker: Worker, attempts: Sequence[JobAttempt]) -> int:
        """End and remove what a dead predecessor of this worker left, and send what the spools of `attempts` hold.

        How many processes or pods had to be ended.
        """
