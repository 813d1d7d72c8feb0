"""What a trainer that prints thousands of lines a second costs others: their reports' p99, and the memory it takes."""

import json
import shutil
import threading
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console

from platform_site.processes import environment, python
from training.benchmarks.rig import BenchmarkError
from training.benchmarks.rig.database import fresh_database
from training.benchmarks.rig.figures import ratio, shown, table
from training.benchmarks.rig.folder import temporary_folder
from training.benchmarks.rig.house import House
from training.benchmarks.rig.processes import program

CLIENTS, METRICS = 8, 10
START_SECONDS = 120.0  # until the trainer prints, or its job has ended
TRAINER = """
import sys, time
from trainers.sdk import TrainerSDK

with TrainerSDK() as sdk:
    sdk.report_started(1, 1)
    begun = time.monotonic()
    for tick in range(int({seconds} * 20)):
        sys.stdout.write("".join(f"flood {{tick}} {{n}}\\n" for n in range({rate} // 20)))
        sys.stdout.flush()
        time.sleep(max(0.0, begun + (tick + 1) / 20 - time.monotonic()))
    sdk.report_completed({{}})
"""


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--pairs", type=int, default=3, help="how often the others are measured without and with it")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each time")
    parser.add_argument("--rate", type=int, default=10_000, help="lines a second")
    parser.add_argument("--database", default="sqlite", metavar="URL", help="sqlite, or a postgres://… server")


def run(options: Mapping[str, Any], console: Console) -> dict[str, Any]:
    if shutil.which("redis-server") is None:
        raise BenchmarkError("the program redis-server is needed: it is a part of the platform that is started")
    p99: dict[str, list[float]] = {"without": [], "with": []}
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        database = stack.enter_context(fresh_database(options["database"], folder))
        house = House(folder, database.url, 1)
        stack.callback(house.end)
        _trainer_write(house.trainers, options["seconds"] + 3, options["rate"])
        house.start()
        clients = json.loads(house.ask("cast", str(CLIENTS)))
        memory = {name: [house.memory(name)] for name in ("web", "training")}
        for pair in range(options["pairs"]):
            console.print(f"turn {pair + 1} of {options['pairs']} …", style="dim")
            p99["without"].append(_load(house, clients, options["seconds"]))
            with memory_watched(house, memory):
                house.ask("flood")
                _wait_for(house, "running")
                p99["with"].append(_load(house, clients, options["seconds"]))
                _wait_for(house, "completed")
        lines = json.loads(house.ask("lines"))
    said = options["pairs"] * int((options["seconds"] + 3) * 20) * (options["rate"] // 20)
    figures: dict[str, Any] = {"p99_ms": p99, "p99_ratio": ratio(p99["with"], p99["without"])}
    figures |= {"lines_said": said, "lines_stored": lines["stored"], "marks_of_cuts": lines["marks"]}
    figures["memory_mb"] = {name: {"before": seen[0], "most": max(seen)} for name, seen in memory.items()}
    _show(figures, options, console)
    return {"databases": [database.vendor], "pairs": options["pairs"], "rate": options["rate"], **figures}


def _trainer_write(trainers: Path, seconds: float, rate: int) -> None:
    (trainers / "chatty").mkdir(parents=True)
    for folder in (trainers, trainers / "chatty"):
        (folder / "__init__.py").touch()
    (trainers / "chatty" / "train.py").write_text(TRAINER.format(seconds=seconds, rate=rate))
    manifest = f'label = "Chatty"\nmodule = "{trainers.name}.chatty.train"\ntasks = ["anything"]\ndataset = false\n'
    (trainers / "chatty" / "trainer.toml").write_text(manifest)


def _load(house: House, clients: list[dict[str, Any]], seconds: float) -> float:
    """The 99th percentile of a report's time, in ms, while all clients report as fast as they can."""
    plan = {"dialect": "ours", "host": "127.0.0.1", "port": house.port, "clients": clients}
    plan |= {"seconds": seconds, "rows": 1, "metrics": METRICS}
    command = python("-m", "training.benchmarks.rig.load")
    seen = json.loads(program(command, environment(), json.dumps(plan), seconds + 60))
    for client, reports in zip(clients, seen["reports"], strict=True):
        client["reports"] = reports
    return float(seen["p99_ms"])


def _wait_for(house: House, state: str) -> None:
    """Until the newest flood's job is in this state. Raises BenchmarkError where it ends otherwise, or does not."""
    deadline = time.monotonic() + START_SECONDS
    while (seen := house.ask("newest")) != state:
        if time.monotonic() > deadline or seen in ("failed", "cancelled"):
            raise BenchmarkError(f"the flood's job is {seen}, not {state}")


@contextmanager
def memory_watched(house: House, memory: dict[str, list[float]]) -> Iterator[None]:
    """Note how many MB the web and the training process hold, several times a second."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            for name, seen in memory.items():
                seen.append(house.memory(name))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _show(figures: Mapping[str, Any], options: Mapping[str, Any], console: Console) -> None:
    made = table(f"A trainer that prints {options['rate']:,} lines a second", "what", "without", "with")
    made.add_row(
        "p99 of others' reports, ms", *(shown(median(figures["p99_ms"][name])) for name in ("without", "with"))
    )
    for name, seen in figures["memory_mb"].items():
        made.add_row(f"memory of the {name} process, MB (before, most)", shown(seen["before"]), shown(seen["most"]))
    made.add_row("lines said, stored", f"{figures['lines_said']:,}", f"{figures['lines_stored']:,}")
    made.add_row("marks where lines were cut", "", str(figures["marks_of_cuts"]))
    console.print(made)
