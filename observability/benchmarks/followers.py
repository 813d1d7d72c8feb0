"""How much a hanging and a dead tracking tool slow reports down, and how far the healthy ones are behind meanwhile."""

import json
import threading
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console

from platform_site.processes import environment, python
from training.benchmarks.rig import BenchmarkError
from training.benchmarks.rig.figures import ratio, shown, table
from training.benchmarks.rig.folder import temporary_folder
from training.benchmarks.rig.followers import Followers, backends, followers
from training.benchmarks.rig.processes import program
from training.benchmarks.rig.site import Site, site, stored_check

CLIENTS, METRICS = 8, 10
HEALTHY = ["tensorboard"]
FAULTY = ["hanging", "dead"]
MOST = 1.2  # times the p99 without them
MOST_BEHIND = 2.0
CAUGHT_UP_SECONDS = 300.0
REACHED = """
    SELECT coalesce(sum(seq), 0) FROM (SELECT max(seq) AS seq FROM training_journalrecord GROUP BY job_id) AS heads"""
TOLD = """
    SELECT coalesce(min(seq), 0) FROM
        (SELECT sum(seq) AS seq FROM observability_delivery WHERE backend IN ({}) GROUP BY backend) AS told"""


@dataclass
class Side:
    """A site with its delivery worker. `behind` is the longest that a healthy backend was behind in each turn."""

    site: Site
    followers: Followers
    points: int = 0
    p99: list[float] = field(default_factory=list)
    behind: list[float] = field(default_factory=list)

    def load(self, seconds: float) -> None:
        """One turn: load, while the lag is watched; then wait until the healthy ones have caught up."""
        plan = {"dialect": "ours", "host": "127.0.0.1", "port": self.site.server.port, "clients": self.site.clients}
        plan |= {"seconds": seconds, "rows": 1, "metrics": METRICS}
        command = python("-m", "training.benchmarks.rig.load")
        with self.followers.at_work(), lag_watched(self) as behind:
            seen = json.loads(program(command, environment(), json.dumps(plan), seconds + 60))
            self.caught_up_wait()
        for client, reports in zip(self.site.clients, seen["reports"], strict=True):
            self.points += (reports - client.get("reports", 0)) * METRICS
            client["reports"] = reports
        stored_check("ours", self.site.database.points(), self.points)
        self.p99.append(seen["p99_ms"])
        self.behind.append(max(behind, default=0.0))

    def reached(self) -> int:
        return int(self.site.database.value(REACHED))

    def told(self) -> int:
        """The records that each healthy backend was told at least."""
        return int(self.site.database.value(TOLD.format(", ".join(f"'{name}'" for name in ["database", *HEALTHY]))))

    def caught_up_wait(self) -> None:
        deadline = time.monotonic() + CAUGHT_UP_SECONDS
        while self.told() < self.reached():
            if time.monotonic() > deadline:
                raise BenchmarkError(f"the healthy backends were told {self.told()} of {self.reached()} records")
            time.sleep(0.1)


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--pairs", type=int, default=7, help="how often each side's turn comes")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long a turn is")
    parser.add_argument("--database", default="sqlite", metavar="URL", help="sqlite (the default), or postgres://…")


def run(options: Mapping[str, Any], console: Console) -> dict[str, Any]:
    with temporary_folder() as folder, ExitStack() as stack:
        well = stack.enter_context(side(folder / "well", options["database"], []))
        ill = stack.enter_context(side(folder / "ill", options["database"], FAULTY))
        for one in (well, ill):
            one.load(options["seconds"])
            one.p99.clear()
            one.behind.clear()
        for pair in range(options["pairs"]):
            console.print(f"turn {pair + 1} of {options['pairs']} …", style="dim")
            for one in (well, ill) if pair % 2 else (ill, well):
                one.load(options["seconds"])
        errors = ill.site.database.value("SELECT count(*) FROM observability_delivery WHERE error_count > 0")
        vendor = well.site.database.vendor
    if not errors:
        raise BenchmarkError("no delivery to a faulty backend has failed: nothing was measured")
    slower = ratio(ill.p99, well.p99)
    made = table(
        f"A hanging and a dead backend, {vendor}, medians of {options['pairs']}", "what", "without", "with", "wanted"
    )
    made.add_row("p99 of a report, ms", shown(median(well.p99)), shown(median(ill.p99)), "")
    made.add_row("p99, times", "1", f"{slower:.2f}", f"< {MOST}")
    made.add_row(
        "the healthy ones behind, s", shown(median(well.behind)), shown(median(ill.behind)), f"< {MOST_BEHIND:g}"
    )
    console.print(made)
    missed = [f"p99 is {slower:.2f} times as long"] if slower >= MOST else []
    if (behind := median(ill.behind)) >= MOST_BEHIND:
        missed.append(f"healthy backends were {behind:.1f} s behind")
    figures = {"p99_ratio": slower, "p99_ms": [well.p99, ill.p99], "behind_seconds": [well.behind, ill.behind]}
    return {"databases": [vendor], "pairs": options["pairs"], **figures, "missed": missed}


@contextmanager
def side(folder: Path, database: str, faulty: list[str]) -> Iterator[Side]:
    """A site that is followed by the healthy backends, and by these."""
    places = Path(__file__).parent / "rig" / "faulty"
    with ExitStack() as stack:
        variables = stack.enter_context(backends(HEALTHY, folder.with_name(f"{folder.name}-backends")))
        variables["OBSERVABILITY_BACKENDS"] = ",".join([*HEALTHY, *faulty])
        variables["OBSERVABILITY_ADAPTERS"] = str(places)
        ours = stack.enter_context(site(database, folder, CLIENTS, **variables))
        yield Side(ours, stack.enter_context(followers(ours, folder, HEALTHY)))


@contextmanager
def lag_watched(one: Side) -> Iterator[list[float]]:
    """How long ago the journal was as far as the backends are, looked at several times a second."""
    found: list[float] = []
    over = threading.Event()

    def watch() -> None:
        past = [(time.monotonic(), one.reached())]
        while not over.wait(0.2):
            told = one.told()
            past.append((time.monotonic(), one.reached()))
            while len(past) > 1 and past[1][1] <= told:
                past.pop(0)
            found.append(past[-1][0] - past[0][0])

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()
