"""How many calls and metric points a second the server commits, beside MLflow's tracking server."""

import json
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console

from platform_site.processes import environment, python
from training.benchmarks.rig import BenchmarkError
from training.benchmarks.rig.figures import ratio, shown, table
from training.benchmarks.rig.folder import temporary_folder
from training.benchmarks.rig.followers import KNOWN, Followers, backends, followers
from training.benchmarks.rig.mlflow import mlflow_server
from training.benchmarks.rig.processes import Server, program
from training.benchmarks.rig.site import site, stored_check

CLIENTS = 8
WARM_UP_SECONDS = 3.0  # servers import and prepare some things only when they are first asked
THEIRS = "mlflow"
MEASURED = ("calls_per_second", "points_per_second", "p50_ms", "p99_ms", "processor_ms", "client_busy")


@dataclass(frozen=True)
class Scenario:
    """`clients` at once, each call with `rows` reports of `metrics` metrics."""

    name: str
    clients: int
    metrics: int
    rows: int
    measure: str


SCENARIOS = (
    Scenario("8 clients x 10 metrics", CLIENTS, 10, 1, "calls_per_second"),
    Scenario("8 clients x 100 metrics", CLIENTS, 100, 1, "points_per_second"),
    Scenario("1 client, batches of 100 reports x 10 metrics", 1, 10, 100, "points_per_second"),
    Scenario("1 client, batches of 1000 reports x 1 metric", 1, 1, 1000, "points_per_second"),
)


@dataclass
class Contender:
    """A server under load. `points` are those acknowledged; `count` asks its database."""

    name: str
    dialect: str
    server: Server
    clients: list[dict[str, Any]]
    count: Callable[[], int]
    database: str
    followers: Followers | None = None
    points: int = 0
    runs: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    def load(self, scenario: Scenario, seconds: float) -> None:
        """Run the load generator once, and check that what it had acknowledged is stored."""
        clients = self.clients[: scenario.clients]
        plan = {"dialect": self.dialect, "host": "127.0.0.1", "port": self.server.port, "clients": clients}
        plan |= {"seconds": seconds, "rows": scenario.rows, "metrics": scenario.metrics}
        command = python("-m", "training.benchmarks.rig.load")
        before = self.server.processor_seconds()
        with self.followers.at_work() if self.followers else nullcontext():
            seen = json.loads(program(command, environment(), json.dumps(plan), seconds + 60))
        seen["processor_ms"] = 1000 * (self.server.processor_seconds() - before) / seen.pop("calls")
        for client, reports in zip(clients, seen.pop("reports"), strict=True):
            self.points += (reports - client.get("reports", 0)) * scenario.metrics
            client["reports"] = reports
        stored_check(self.name, self.count(), self.points)
        self.runs.setdefault(scenario.name, []).append(seen)

    def seen(self, scenario: Scenario, measure: str) -> list[float]:
        return [run[measure] for run in self.runs[scenario.name]]


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--against", choices=[THEIRS], help="measure this server too, in turns with ours")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each server is loaded at a time")
    parser.add_argument("--pairs", type=int, default=5, help="how often each server's turn comes")
    parser.add_argument("--scenario", default="", metavar="WORDS", help="only the scenarios whose name has these words")
    parser.add_argument(
        "--followers",
        nargs="*",
        metavar="NAME",
        help=f"deliver to these tracking tools meanwhile; without a name to {', '.join(KNOWN)}",
    )
    parser.add_argument(
        "--database",
        nargs="+",
        default=["sqlite"],
        metavar="URL",
        help="sqlite (the default), or postgres://… for a database made and dropped in that server",
    )


def run(options: Mapping[str, Any], console: Console) -> dict[str, Any]:
    told = None if options["followers"] is None else options["followers"] or list(KNOWN)
    scenarios = [scenario for scenario in SCENARIOS if options["scenario"] in scenario.name]
    if not scenarios:
        raise BenchmarkError(f"no scenario is named so; there are: {'; '.join(one.name for one in SCENARIOS)}")
    with contenders(options["database"], options["against"], told) as all_of_them:
        for contender in all_of_them:
            contender.load(SCENARIOS[0], min(WARM_UP_SECONDS, options["seconds"]))
            contender.runs.clear()
            if contender.followers:
                contender.followers.all_told_wait()
        for scenario in scenarios:
            for turn in range(options["pairs"]):
                console.print(f"{scenario.name}, turn {turn + 1} of {options['pairs']} …", style="dim")
                # each time another one begins, so that none always has the quiet moment
                for number in range(len(all_of_them)):
                    all_of_them[(turn + number) % len(all_of_them)].load(scenario, options["seconds"])
        delivered = {one.name: one.followers.told() for one in all_of_them if one.followers}
        memory = {contender.name: contender.server.memory() for contender in all_of_them}
    figures: dict[str, Any] = {"databases": [one.database for one in all_of_them]}
    figures["scenarios"] = {scenario.name: summary(scenario, all_of_them) for scenario in scenarios}
    figures |= {"delivered_points": delivered} if delivered else {}
    figures["memory_mb"] = {name: {"resident": seen[0], "proportional": seen[1]} for name, seen in memory.items()}
    show(figures, console)
    return {"pairs": options["pairs"], "seconds": options["seconds"], **figures}


@contextmanager
def contenders(databases: list[str], against: str | None, told: list[str] | None) -> Iterator[list[Contender]]:
    """Ours on each database, and the one to compare with, each on a port and a fresh database of its own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(temporary_folder()))
        found = []
        for number, url in enumerate(databases):
            own = folder / f"ours-{number}"
            more = {} if told is None else stack.enter_context(backends(told, folder / f"backends-{number}"))
            ours = stack.enter_context(site(url, own, CLIENTS, **more))
            behind = None if told is None else stack.enter_context(followers(ours, own, ["database", *told]))
            name, vendor = f"ours on {ours.database.vendor}", ours.database.vendor
            found.append(Contender(name, "ours", ours.server, ours.clients, ours.database.points, vendor, behind))
        if against == THEIRS:
            theirs = stack.enter_context(mlflow_server(folder / THEIRS, CLIENTS))
            found.append(
                Contender(THEIRS, THEIRS, theirs.server, theirs.clients, theirs.points, theirs.database.vendor)
            )
        yield found


def summary(scenario: Scenario, all_of_them: list[Contender]) -> dict[str, Any]:
    """Each one's medians, and for ours the median ratio to the other of the same turn."""
    figures: dict[str, Any] = {}
    theirs = next((contender for contender in all_of_them if contender.name == THEIRS), None)
    for contender in all_of_them:
        seen: dict[str, Any] = {measure: median(contender.seen(scenario, measure)) for measure in MEASURED}
        if theirs is not None and contender is not theirs:
            seen["ratio"] = ratio(contender.seen(scenario, scenario.measure), theirs.seen(scenario, scenario.measure))
        figures[contender.name] = seen
    return figures


def show(figures: dict[str, Any], console: Console) -> None:
    columns = ("calls/s", "points/s", "p50 ms", "p99 ms", "CPU ms", "client", "ratio")
    for name, seen in figures["scenarios"].items():
        made = table(name, "server", *columns)
        for contender, row in seen.items():
            cells = [shown(row[measure]) for measure in MEASURED]
            made.add_row(contender, *cells, f"{row['ratio']:.2f}" if "ratio" in row else "")
        console.print(made)
    for name, seen in figures.get("delivered_points", {}).items():
        made = table(f"Points delivered during the load of {name}", "backend", "points")
        for backend, points in seen.items():
            made.add_row(backend, f"{points:,}")
        console.print(made)
    made = table("Memory of all of a server's processes, MB", "server", "resident", "proportional")
    for name, seen in figures["memory_mb"].items():
        made.add_row(name, shown(seen["resident"]), shown(seen["proportional"]))
    console.print(made)
