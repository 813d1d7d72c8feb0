"""How many points a second reach each tracking tool through the followers, beside calling its SDK directly."""

import subprocess
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from django.conf import settings
from rich.console import Console

from observability.benchmarks.rig.platform import platform
from observability.benchmarks.rig.points import TARGETS
from observability.standins.clearml import KEY, SECRET
from platform_site.processes import environment, python
from training.benchmarks.rig import BenchmarkError
from training.benchmarks.rig.figures import ratio, shown, table
from training.benchmarks.rig.folder import temporary_folder
from training.benchmarks.rig.mlflow import mlflow_server
from training.benchmarks.rig.processes import free_port, server

WANTED = 0.8
START_SECONDS = 60.0
Turn = Callable[[], float]  # sends the points once; the seconds that took


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--backend", action="append", choices=TARGETS, help="only this one; repeatable")
    parser.add_argument("--pairs", type=int, default=5, help="how often each side's turn comes")
    parser.add_argument("--reports", type=int, default=2000, help="reports in each turn")
    parser.add_argument("--metrics", type=int, default=10, help="metrics in each report")
    parser.add_argument("--database", default="sqlite", metavar="URL", help="sqlite (the default), or postgres://…")


def run(options: Mapping[str, Any], console: Console) -> dict[str, Any]:
    chosen = options["backend"] or [name for name in TARGETS if find_spec(name)]
    seen: dict[str, dict[str, Any]] = {}
    for name in chosen:
        with temporary_folder() as folder, backend(name, folder) as variables:
            seen[name] = compare(name, variables, folder, options, console)
    made = table("Points a second into each backend, medians", "backend", "delivered", "SDK", "ratio", "wanted")
    for name, row in seen.items():
        cells = (shown(row["delivered"]), shown(row["direct"]), f"{row['ratio']:.2f}")
        made.add_row(name, *cells, f">= {WANTED}")
    console.print(made)
    missed = [f"{name} {row['ratio']:.2f} < {WANTED}" for name, row in seen.items() if row["ratio"] < WANTED]
    return {"databases": [options["database"]], "pairs": options["pairs"], "backends": seen, "missed": missed}


@contextmanager
def backend(name: str, folder: Path) -> Iterator[dict[str, str]]:
    """The variables that reach it: a real server, folders, and for ClearML the tests' server without its checks."""
    if not find_spec(name):
        raise BenchmarkError(f"{name} is not installed here")
    with ExitStack() as stack:
        if name == "mlflow":
            theirs = stack.enter_context(mlflow_server(folder / "server", 0))
            yield {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{theirs.server.port}"}
        elif name == "clearml":
            port = free_port()
            command = python("-m", "observability.standins.clearml", str(port))
            (folder / "server").mkdir()
            place = (environment(), folder / "server", port, "/debug.ping", START_SECONDS)
            stack.enter_context(server("clearml", command, *place))
            address = {"CLEARML_API_HOST": f"http://127.0.0.1:{port}"}
            yield address | {"CLEARML_API_ACCESS_KEY": KEY, "CLEARML_API_SECRET_KEY": SECRET}
        elif name == "tensorboard":
            yield {"TENSORBOARD_LOG_DIR": str(folder / "events")}
        else:
            yield {"WANDB_MODE": "offline", "WANDB_DIR": str(folder / "runs"), "WANDB_ERROR_REPORTING": "false"}


def compare(
    name: str, variables: dict[str, str], folder: Path, options: Mapping[str, Any], console: Console
) -> dict[str, Any]:
    """Both sides in turns, the other one first each time; the first turn of each is not counted."""
    size = [name, str(options["reports"]), str(options["metrics"])]
    asked = {"OBSERVABILITY_BACKENDS": name, **variables}
    with platform(options["database"], folder / "platform", **asked) as ours_on, ExitStack() as stack:
        ours = stack.enter_context(turns("observability.benchmarks.rig.ours", size, ours_on.variables, folder))
        direct = stack.enter_context(turns("observability.benchmarks.rig.direct", size, ours_on.variables, folder))
        seconds: dict[Turn, list[float]] = {ours: [], direct: []}
        for pair in range(options["pairs"] + 1):
            console.print(f"{name}, turn {pair} of {options['pairs']} …", style="dim")
            for side in (ours, direct) if pair % 2 else (direct, ours):
                seconds[side].append(side())
    points = options["reports"] * options["metrics"]
    figures = {"delivered": points / median(seconds[ours][1:]), "direct": points / median(seconds[direct][1:])}
    return {**figures, "ratio": ratio(seconds[direct][1:], seconds[ours][1:])}


@contextmanager
def turns(module: str, size: list[str], variables: Mapping[str, str], folder: Path) -> Iterator[Turn]:
    """A program of the rig that takes a turn for each line that it gets."""
    log = folder / f"{module.rpartition('.')[2]}.log"
    with log.open("w") as words:
        process = subprocess.Popen(
            python("-m", module, *size),
            env=dict(variables),
            cwd=settings.BASE_DIR,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            text=True,
        )
    assert process.stdin and process.stdout

    def turn() -> float:
        assert process.stdin and process.stdout
        process.stdin.write("\n")
        process.stdin.flush()
        if not (answer := process.stdout.readline()):
            raise BenchmarkError(f"{module} ended:\n{log.read_text('utf-8', 'replace')[-2000:]}")
        return float(answer)

    try:
        yield turn
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
