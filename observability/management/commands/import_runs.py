"""Make jobs of runs that other tools have recorded."""

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import IO, Any, cast

from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from observability.imports.base import Source, SourceError
from observability.imports.discovery import sources_all
from observability.imports.importing import Outcome, Told, Wanted, run_import
from training.jobs.backends import backends_chosen
from training.jobs.imports import ImportRefused
from training.models import Organization, User
from training.people.roles import Action, require

SHOWN_TROUBLES = 5


class Command(BaseCommand):
    help = (
        "Import runs of MLflow, TensorBoard or Ultralytics as jobs with all their points. It may be interrupted and "
        "started again at any time: what is there is passed over, and what was begun goes on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        choices = parser.add_subparsers(dest="source", required=True, metavar="SOURCE")
        for name, source in sources_all().items():
            choice = choices.add_parser(name, help=f"runs of {source.label}", description=source.__doc__)
            source.arguments(choice)
            _common_add(choice)

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = _wanted(options)
        try:
            source = sources_all()[options["source"]](options)
            runs = source.runs()
        except SourceError as error:
            raise CommandError(str(error)) from error
        outcomes: list[Outcome] = []
        with self._bars(options["json"], len(runs)) as bars, _resumable():
            for run in runs:
                outcomes.append(self._one(source, run, wanted, bars.told(run)))
                bars.ended()
                if not options["json"]:
                    self._tell(outcomes[-1], bars)
        self._conclude(outcomes, options["json"], wanted)

    def _one(self, source: Source, run: str, wanted: Wanted, told: Told) -> Outcome:
        try:
            return run_import(source, run, wanted, told)
        except (ImportRefused, ValidationError) as error:
            return Outcome(run, "failed", reason=str(error))

    def _tell(self, outcome: Outcome, bars: "_Bars") -> None:
        words = {"would_import": "would be imported", "continued": "imported (continued)"}
        what = words.get(outcome.what, outcome.what)
        job = f" as job {outcome.job}" if outcome.job and outcome.what in ("imported", "continued") else ""
        points = f", {outcome.points:,} points" if outcome.points else ""
        reason = f": {outcome.reason}" if outcome.reason else ""
        line = f"{outcome.name or outcome.run} {what}{job}{points}{reason}"
        self._say(bars, line, failed=outcome.what == "failed")
        for trouble in outcome.troubles[:SHOWN_TROUBLES]:
            self._say(bars, f"  {trouble}", failed=True)
        if len(outcome.troubles) > SHOWN_TROUBLES:
            self._say(bars, f"  … and {len(outcome.troubles) - SHOWN_TROUBLES} more", failed=True)

    def _say(self, bars: "_Bars", line: str, failed: bool) -> None:
        """A line, above the bars where there are some: whatever else writes meanwhile would tear them."""
        if not bars.say(line):
            (self.stderr if failed else self.stdout).write(line)

    @contextmanager
    def _bars(self, quiet: bool, runs: int) -> Iterator["_Bars"]:
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        console = Console(file=cast(IO[str], self.stdout))
        with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as progress:
            yield _Bars(progress, runs)

    def _conclude(self, outcomes: list[Outcome], as_json: bool, wanted: Wanted) -> None:
        counts = {what: sum(one.what == what for one in outcomes) for what in dict.fromkeys(o.what for o in outcomes)}
        if as_json:
            runs = [asdict(one) | {"address": _address(one)} for one in outcomes]
            self.stdout.write(json.dumps({"counts": counts, "runs": runs}))
        else:
            told = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in counts.items())
            self.stdout.write(f"{len(outcomes)} runs: {told}." if outcomes else "There is no run there.")
        if failed := counts.get("failed"):
            raise CommandError(f"{failed} of {len(outcomes)} runs could not be imported. Start again to go on.")


@contextmanager
def _resumable() -> Iterator[None]:
    """What ends an import in its middle, as a sentence instead of a traceback."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise CommandError("Interrupted. Start again to go on.", returncode=130) from error
    except (OperationalError, InterfaceError) as error:
        raise CommandError(f"The database is away: {error}\nStart again to go on.") from error


def _common_add(parser: ArgumentParser) -> None:
    parser.add_argument("--organization", required=True, metavar="SLUG", help="whose the jobs are to be")
    parser.add_argument("--user", required=True, help="who imports: a user name")
    parser.add_argument("--project", default="", help="name of the project (default: made from the source's names)")
    parser.add_argument("--experiment", default="", help='name of the experiment (default: "Imported from …")')
    parser.add_argument(
        "--backends",
        default="",
        metavar="NAME,NAME",
        help="configured tracking tools that are told of these jobs too (default: only the database)",
    )
    parser.add_argument("--unfinished", action="store_true", help="also runs that have not ended there, as cancelled")
    parser.add_argument("--dry-run", action="store_true", help="read everything and change nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def _wanted(options: dict[str, Any]) -> Wanted:
    """What was asked for. Raises CommandError for what there is not, or what this person may not."""
    organization = Organization.objects.filter(slug=options["organization"]).first()
    if organization is None:
        known = ", ".join(Organization.objects.order_by("slug").values_list("slug", flat=True)[:20]) or "none yet"
        raise CommandError(f"There is no organization {options['organization']}. Known: {known}.")
    user = User.objects.filter(username=options["user"]).first()
    if user is None:
        raise CommandError(f"There is no user {options['user']}.")
    try:
        require(user, Action.CREATE_JOB, organization)
        backends = backends_chosen([name.strip() for name in options["backends"].split(",") if name.strip()])
    except PermissionDenied as error:
        raise CommandError(f"{user} in {organization}: {error}") from error
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from error
    given = {name: options[name] for name in ("project", "experiment", "unfinished", "dry_run")}
    return Wanted(user, organization, backends=backends, **given)


def _address(outcome: Outcome) -> str | None:
    return f"{settings.SITE_URL}/jobs/{outcome.job}/" if outcome.job else None


class _Bars:
    """One bar for the runs, and one for the points of the run that is being stored; none without a terminal."""

    def __init__(self, progress: Progress, runs: int) -> None:
        self._progress = progress
        self._runs = progress.add_task("runs", total=runs)
        self._points = progress.add_task("", total=None, visible=False)

    def told(self, run: str) -> Told:
        self._progress.update(self._points, description=escape(run[-40:]), completed=0, total=None, visible=True)

        def told(stored: int, points: int) -> None:
            self._progress.update(self._points, completed=stored, total=points)

        return told

    def say(self, line: str) -> bool:
        """Print a line above the bars; False where there are none."""
        if not self._progress.disable:
            self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
        return not self._progress.disable

    def ended(self) -> None:
        self._progress.update(self._points, visible=False)
        self._progress.advance(self._runs)
