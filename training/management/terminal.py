"""What commands say: tables and colours on a terminal, plain text elsewhere, JSON on wish."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError, OutputWrapper
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from training.jobs.selectors import jobs_visible
from training.models import JobState, LogLevel, TrainingJob, TrainingLog, User
from training.templatetags.text import last_state, plain_text

STATES = {
    JobState.COMPLETED: "green",
    JobState.RUNNING: "blue",
    JobState.FAILED: "red",
    JobState.LOST: "yellow",
    JobState.CANCELLED: "dim",
}
LEVELS = {LogLevel.DEBUG: "dim", LogLevel.WARNING: "yellow", LogLevel.ERROR: "red"}


def on_terminal(out: OutputWrapper) -> bool:
    """Whether a person reads what a command writes."""
    return bool(out.isatty())


def console(out: OutputWrapper) -> Console:
    """Rich's output, to where the command writes; past Django's wrapper, which would end every write with a newline."""
    stream: Any = out._out
    return Console(file=stream, highlight=False)


def json_line(out: OutputWrapper, data: Any) -> None:
    """One line of strict JSON."""
    out.write(json.dumps(data, default=str, allow_nan=False))


def table_write(out: OutputWrapper, titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table with lines on a terminal; elsewhere a line per row, its cells parted by tabs."""
    if not on_terminal(out):
        for row in [titles, *rows]:
            out.write("\t".join(map(plain_text, row)))
        return
    table = Table(*titles, header_style="dim")
    for row in rows:
        table.add_row(*(_styled(cell) for cell in row))
    console(out).print(table)


def line_text(line: TrainingLog, colours: bool) -> str:
    """A log line as a terminal may show it: what would act on the terminal is taken out."""
    time = datetime.fromtimestamp(line.time, UTC).strftime("%H:%M:%S")
    text = f"{time} {LogLevel(line.level).label.upper():<7} {line.source}: {plain_text(last_state(line.message))}"
    style = LEVELS.get(LogLevel(line.level), "")
    return f"[{style}]{escape(text)}[/]" if colours and style else escape(text) if colours else text


def user_named(name: str) -> User:
    """Who acts. Raises CommandError."""
    found = User.objects.filter(username=name).first()
    if found is None:
        known = ", ".join(User.objects.order_by("username").values_list("username", flat=True)[:20])
        raise CommandError(f"There is no user {name}. Known: {known or 'none yet'}.")
    return found


def job_numbered(number: int, user: User | None = None) -> TrainingJob:
    """A job that there is, and that the user may see if one was told. Raises CommandError."""
    rows = TrainingJob.objects.select_related("experiment__project", "dataset", "created_by")
    rows = jobs_visible(user) if user else rows
    found: TrainingJob | None = rows.filter(pk=number).first() if 0 < number < 2**63 else None
    if found is None:
        raise CommandError(f"There is no job {number}{f' that {user} may see' if user else ''}.")
    return found


def interrupted() -> None:
    """End as programs end that were interrupted, without a traceback."""
    sys.exit(130)


def _styled(cell: str) -> str:
    text = escape(plain_text(cell))
    style = next((style for state, style in STATES.items() if state.label == cell), "")
    return f"[{style}]{text}[/]" if style else text
