"""The contract of a source, from which runs are imported: a tool, or a kind of file. One file in `sources/` is enough.

A source is used by `manage.py import_runs` alone, so it may load its tool's
library, in `__init__` and not before. What it can't read it tells, and goes on.
Order, grouping, numbering and storing are not a source's work.
"""

from abc import ABC, abstractmethod
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

COMPLETED, FAILED, CANCELLED, UNFINISHED = "completed", "failed", "cancelled", "unfinished"


class SourceError(Exception):
    """A run, or the whole source, that can't be read; the message is for the one who imports."""


class NothingToImport(Exception):
    """A run that holds nothing that a job could show; it is passed over."""


class Reading(Protocol):
    """What takes the points of one run as they are found, in any order of names, and tells what could not be read."""

    def point(self, name: str, step: int | None, time: float, value: float, epoch: int | None = None) -> None:
        """One point; `time` in seconds since 1970. Points of a name keep their order where their times are equal."""

    def trouble(self, text: str) -> None:
        """Something that was left out, and why."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of the run that stays where it is."""

    name: str
    address: str
    size: int | None = None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a source knows of a run beside its points; times in seconds since 1970, None where it does not tell."""

    name: str
    project: str
    status: str  # one of the four above
    reason: str = ""
    address: str = ""
    started: float | None = None
    ended: float | None = None
    trainer: str = ""
    task_type: str = ""
    model_name: str = ""
    total_epochs: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    artifacts: Sequence[Artifact] = ()


class Source(ABC):
    """One source, opened with the options that it has asked for. Raises SourceError where it can't be opened."""

    name: ClassVar[str]  # as in `manage.py import_runs NAME`
    label: ClassVar[str]

    @staticmethod
    @abstractmethod
    def arguments(parser: ArgumentParser) -> None:
        """Add the options that say which runs are meant."""

    @abstractmethod
    def __init__(self, options: Mapping[str, Any]) -> None: ...

    @abstractmethod
    def runs(self) -> list[str]:
        """What each run is called here; the same name again means the same run, for ever."""

    @abstractmethod
    def read(self, run: str, reading: Reading) -> RunFacts:
        """Give `reading` every point of the run, then tell its facts. Raises SourceError or NothingToImport."""

    def experiment_id(self, run: str) -> str:
        """What the adapter of the same name calls the run, so that what came from here is not taken back."""
        return run
