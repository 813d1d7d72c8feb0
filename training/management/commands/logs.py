"""`manage.py logs N`: what a job has written, and what it goes on to write."""

from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console

from training.jobs.following import job_follow, lines_last
from training.jobs.lines import LineFilter, Place, lines_in_chunks
from training.management.terminal import console, interrupted, job_numbered, json_line, line_text, on_terminal
from training.models import JobState, LogLevel, TrainingLog


class Command(BaseCommand):
    help = (
        "Print a job's log. With --follow it goes on with what the job writes, and ends with the job. "
        "Levels are coloured on terminals only."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        levels = [level.label for level in LogLevel]
        parser.add_argument("job", type=int, help="the job's number")
        parser.add_argument("-f", "--follow", action="store_true", help="go on until the job has ended")
        parser.add_argument("--level", choices=levels, default="debug", help="the lowest level (default: debug)")
        parser.add_argument("--source", default="", help="only lines of this source, such as trainer or stdout")
        parser.add_argument("--text", default="", help="only lines with this in them")
        parser.add_argument("--tail", type=int, metavar="N", help="begin with the last N lines (default: all)")
        parser.add_argument("--json", action="store_true", help="print each line as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        job = job_numbered(options["job"])
        wanted = LineFilter(LogLevel[options["level"].upper()], options["source"], options["text"])
        self.json = options["json"]
        self.console = console(self.stdout) if on_terminal(self.stdout) and not self.json else None
        try:
            place = self._begin(job.pk, wanted, options["tail"])
            if options["follow"]:
                self._follow(job.pk, wanted, place)
        except KeyboardInterrupt:
            interrupted()
        except BrokenPipeError:  # `| head` has seen enough
            return

    def _begin(self, job_id: int, wanted: LineFilter, tail: int | None) -> Place:
        """Print what there is; the place of the last line."""
        place = Place(0, 0)
        chunks: Iterable[list[TrainingLog]] = lines_in_chunks(job_id, wanted)
        for lines in chunks if tail is None else [lines_last(job_id, wanted, max(0, tail))]:
            self._write(lines)
            place = Place(lines[-1].seq, lines[-1].n) if lines else place
        if tail == 0 and (last := lines_last(job_id, wanted, 1)):
            place = Place(last[0].seq, last[0].n)
        return place

    def _follow(self, job_id: int, wanted: LineFilter, place: Place) -> None:
        status = None
        for news in job_follow(job_id, wanted, place):
            self._write(news.lines)
            status = news.status
        if status is not None and not self.json:
            reason = f": {status.job.error_message}" if status.job.error_message else ""
            self.stderr.write(f"Job {job_id} is {JobState(status.job.state).label.lower()}{reason}")

    def _write(self, lines: list[TrainingLog]) -> None:
        for line in lines:
            if self.json:
                json_line(self.stdout, _fields(line))
            else:
                _print(self.console, self.stdout, line)
        self.stdout.flush()


def _print(colours: Console | None, out: Any, line: TrainingLog) -> None:
    if colours is None:
        out.write(line_text(line, colours=False))
    else:
        colours.print(line_text(line, colours=True), soft_wrap=True)


def _fields(line: TrainingLog) -> dict[str, Any]:
    same = {name: getattr(line, name) for name in ("seq", "n", "time", "source", "message")}
    return same | {"level": LogLevel(line.level).label}
