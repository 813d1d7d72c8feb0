"""What is shown while a command waits for a job: a bar on a terminal, a line per change of state elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from django.core.management.base import OutputWrapper
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from training.jobs.selectors import JobStatus
from training.management.terminal import console, on_terminal
from training.models import JobState


class Waiting(Protocol):
    def show(self, status: JobStatus) -> None: ...


class Silent:
    def show(self, status: JobStatus) -> None:
        """Nothing: the result is printed at the end."""


class Lines:
    """A line whenever the state or the epoch has changed: good in a log."""

    def __init__(self, out: OutputWrapper) -> None:
        self._out = out
        self._said = ""

    def show(self, status: JobStatus) -> None:
        text = where(status)
        if text != self._said:
            self._out.write(text)
            self._said = text


class Bar:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: Any = progress.add_task("queued", total=1.0)

    def show(self, status: JobStatus) -> None:
        self._progress.update(self._task, completed=status.progress.fraction or 0.0, description=where(status))


@contextmanager
def waiting(out: OutputWrapper, *, quiet: bool) -> Iterator[Waiting]:
    """What to tell each status to."""
    if quiet:
        yield Silent()
    elif not on_terminal(out):
        yield Lines(out)
    else:
        columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
        with Progress(*columns, console=console(out), transient=True) as progress:
            yield Bar(progress)


def where(status: JobStatus) -> str:
    """`Job 7: running, epoch 3 of 50`."""
    progress = status.progress
    epoch = f", epoch {progress.epoch} of {progress.total_epochs}" if progress.epoch and progress.total_epochs else ""
    return f"Job {status.job.pk}: {JobState(status.job.state).label.lower()}{epoch}"
