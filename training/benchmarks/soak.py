"""What is lost and doubled while web, worker and Redis are killed at random: reported, stored and shown are counted."""

import json
import random
import shutil
import time
from argparse import ArgumentParser
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from training.benchmarks.rig import BenchmarkError
from training.benchmarks.rig.database import fresh_database
from training.benchmarks.rig.figures import table
from training.benchmarks.rig.folder import temporary_folder
from training.benchmarks.rig.house import House

JOB_SECONDS = 45.0
CALM_SECONDS = 90.0  # beside a job's own time: until every job has ended, once nothing is killed any more
TRAINER = """
import os
import time
from trainers.sdk import TrainerSDK

with TrainerSDK() as sdk, open({folder!r} + "/{{JOB_ID}}-{{ATTEMPT}}".format(**os.environ), "w") as said:
    sdk.report_started(1, {reports})
    for number in range(1, {reports} + 1):
        sdk.report_progress({{"number": number}}, epoch=1, step=number)
        said.write(f"{{number}}\\n")
        said.flush()
        time.sleep({pause})
    sdk.report_completed({{"number": {reports}}})
"""


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=10.0, help="how long things are killed")
    parser.add_argument("--trainers", type=int, default=20, help="how many train at once")
    parser.add_argument("--rate", type=float, default=10.0, help="points a second of each")
    parser.add_argument("--pages", type=int, default=50, help="how many job pages are open")
    parser.add_argument("--every", type=float, default=20.0, help="seconds between two kills, about")
    parser.add_argument("--seed", type=int, default=1, help="which kills, in which order")
    parser.add_argument("--database", default="sqlite", metavar="URL", help="sqlite, or a postgres://… server")


def run(options: Mapping[str, Any], console: Console) -> dict[str, Any]:
    if shutil.which("redis-server") is None:
        raise BenchmarkError("the program redis-server is needed: it is one of those that are killed")
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        database = stack.enter_context(fresh_database(options["database"], folder))
        house = House(folder, database.url, options["trainers"])
        stack.callback(house.end)
        seconds = min(JOB_SECONDS, options["minutes"] * 30)
        reports = max(10, int(seconds * options["rate"]))
        said = _trainer_write(house.trainers, folder / "said", reports, 1 / options["rate"])
        jobs = options["trainers"] * max(1, round(options["minutes"] * 60 / seconds))
        house.start()
        house.ask("make", str(jobs))
        pages = house.pages_open(options["pages"])
        kills = _torment(house, options, console)
        _quiet(house, seconds + CALM_SECONDS, console)
        pages.terminate()
        seen = json.loads(house.ask("count", house.url))
        figures = _judge(seen, said) | {"kills": kills, "jobs": jobs, "pages": options["pages"]}
    _show(figures, console)
    return figures


def _trainer_write(trainers: Path, said: Path, reports: int, pause: float) -> Path:
    said.mkdir()
    said.chmod(0o777)
    (trainers / "steady").mkdir(parents=True)
    for folder in (trainers, trainers / "steady"):
        (folder / "__init__.py").touch()
    (trainers / "steady" / "train.py").write_text(TRAINER.format(folder=str(said), reports=reports, pause=pause))
    manifest = f'label = "Steady"\nmodule = "{trainers.name}.steady.train"\ntasks = ["anything"]\ndataset = false\n'
    (trainers / "steady" / "trainer.toml").write_text(manifest)
    return said


def _torment(house: House, options: Mapping[str, Any], console: Console) -> dict[str, int]:
    """Kill one of them, start it again, and wait a little, until the time is over."""
    chance = random.Random(options["seed"])
    kills, turns = {"web": 0, "training": 0, "redis": 0}, list[str]()
    until = time.monotonic() + options["minutes"] * 60
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, options["every"] * chance.uniform(0.5, 1.5)))
        if time.monotonic() < until:
            turns = turns or chance.sample(list(kills), len(kills))  # in any order, but none is left out
            name = turns.pop()
            kills[name] += 1
            house.kill(name)
            time.sleep(chance.uniform(0.2, 2.0))
            house.begin(name)
            left = max(0.0, until - time.monotonic())
            console.print(f"{name} was killed and started again, {left:.0f} s left", style="dim")
    return kills


def _quiet(house: House, seconds: float, console: Console) -> None:
    """Let what runs end, for so long. What still waits is cancelled: its turn might be minutes away."""
    deadline = time.monotonic() + seconds
    while open_jobs := json.loads(house.ask("calm")):
        told = ", ".join(f"{count} {state}" for state, count in open_jobs.items())
        console.print(f"{told}, {max(0.0, deadline - time.monotonic()):.0f} s left", style="dim")
        if time.monotonic() > deadline:
            return
        time.sleep(3)


def _judge(seen: dict[str, Any], said: Path) -> dict[str, Any]:
    """Compare what trainers said (accepted by their SDK), what the journal holds, and what the web's answers show."""
    reported = {file.name: set(map(int, file.read_text().split())) for file in said.iterdir()}
    stored = {name: list(values) for name, values in seen["stored"].items()}
    shown = {name: list(values) for name, values in seen["shown"].items()}
    lost = sum(len(numbers - set(stored.get(name, []))) for name, numbers in reported.items())
    doubled = sum(len(values) - len(set(values)) for values in stored.values())
    differ = sum(sorted(stored.get(name, [])) != sorted(shown.get(name, [])) for name in {*stored, *shown})
    states: dict[str, int] = seen["states"]
    ended = ("completed", "failed", "cancelled")
    figures: dict[str, Any] = {
        "reported": sum(map(len, reported.values())),
        "stored": sum(map(len, stored.values())),
        "shown": sum(map(len, shown.values())),
        "lost": lost,
        "doubled": doubled,
        "attempts_shown_otherwise": differ,
        "attempts": len(reported),
        "states": states,
        "not_terminal": sum(number for state, number in states.items() if state not in ended),
        "leaked_slots": seen["slots_taken"],
    }
    wrong = ("lost", "doubled", "attempts_shown_otherwise", "not_terminal", "leaked_slots")
    missed = [f"{name.replace('_', ' ')}: {figures[name]}" for name in wrong if figures[name]]
    return figures | ({"missed": missed} if missed else {})


def _show(figures: dict[str, Any], console: Console) -> None:
    shown = table("Soak", "what", "count")
    for name, value in figures.items():
        text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
        shown.add_row(name.replace("_", " "), text)
    console.print(shown)
