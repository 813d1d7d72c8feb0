"""Ask every configured backend whether it works."""

import time
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from observability.base import AdapterError, JobFacts, Report, State
from observability.calls import Caller, caller_of
from observability.discovery import Found
from observability.registry import configured, known

PROBE = JobFacts(
    job_id=0,
    name="check_backends",
    organization="platform",
    project="platform",
    experiment="check_backends",
    trainer="",
    task_type="",
    model_name="",
    dataset="",
    dataset_version_hash="",
    created=0.0,
    created_by="",
    url="",
)
METRIC = "check/value"


class Command(BaseCommand):
    help = (
        "Ask every configured backend for its version, write one point to an experiment named check_backends, and "
        "read it back where the backend can be read. Ends with 1 if a backend does not work."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--backend", action="append", default=[], help="only this one; repeatable")
        parser.add_argument("--no-write", action="store_true", help="ask for the version only")

    def handle(self, *args: Any, **options: Any) -> None:
        unknown = [name for name in options["backend"] if name not in known()]
        if unknown:
            raise CommandError(f"Unknown: {', '.join(unknown)}; known are: {', '.join(sorted(known()))}.")
        backends = {name: known()[name] for name in options["backend"]} or configured()
        table = Table("backend", "reachable", "version", "write", "read", "trouble")
        failed = [name for name, found in backends.items() if not _row(table, found, not options["no_write"])]
        Console(file=cast(IO[str], self.stdout), width=None if self.stdout.isatty() else 160).print(table)
        if failed:
            raise CommandError(f"These backends do not work: {', '.join(failed)}.")


def _row(table: Table, found: Found, write: bool) -> bool:
    said = {"reachable": "no", "version": "", "write": "–", "read": "–"}
    trouble = ""
    caller: Caller | None = None
    try:
        caller = caller_of(found)
        caller.open(_patient)
        said["version"] = caller.call("check", [], {}, _patient) or "unknown"
        said["reachable"] = "yes"
        if write and found.adapter and not found.adapter.in_process:
            said |= _write(caller)
    except AdapterError as error:
        trouble = str(error)
    finally:
        if caller is not None:
            caller.close()
    table.add_row(found.label, *said.values(), trouble)
    return not trouble


def _write(caller: Caller) -> dict[str, str]:
    """Write one point and read it back. Raises AdapterError."""
    state: State = {}
    now = float(int(time.time()))
    experiment = caller.call("create_experiment", [PROBE], state, _patient)
    report = Report(1, 1, now, int(now) % 1_000_000_000, None, (METRIC,), (0.5,))
    caller.call("log_metrics", [experiment, [report]], state, _patient)
    points = caller.call("get_metrics", [experiment, [METRIC]], state, _patient)
    if points is None:
        return {"write": "yes", "read": "can't be read"}
    if not any(step == report.step for step, _, _ in points.get(METRIC, [])):
        raise AdapterError("the point that was written is not there when it is read back")
    return {"write": "yes", "read": "yes"}


def _patient() -> None:
    """Nothing to keep alive while a call takes its time."""
