"""Whether a backfill of many jobs into MLflow, killed twice on its way, ends complete and with nothing doubled."""

import json
import os
import signal
import subprocess
import time
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from rich.console import Console

from observability.benchmarks.rig.platform import Platform, platform
from platform_site.processes import environment, python
from training.benchmarks.rig import BenchmarkError
from training.benchmarks.rig.figures import shown, table
from training.benchmarks.rig.folder import temporary_folder
from training.benchmarks.rig.mlflow import QUIET, mlflow_server
from training.benchmarks.rig.processes import program

METRICS = 10
SENT = "SELECT coalesce(sum(seq), 0) FROM observability_delivery"
HOURS = 3600.0


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--jobs", type=int, default=100, help="how many jobs")
    parser.add_argument("--points", type=int, default=10_000, help="points in each of them")
    parser.add_argument("--kills", type=int, default=2, help="how often the command is killed with SIGKILL")
    parser.add_argument("--database", default="sqlite", metavar="URL", help="sqlite (the default), or postgres://…")


def run(options: Mapping[str, Any], console: Console) -> dict[str, Any]:
    jobs, reports, kills = options["jobs"], options["points"] // METRICS, options["kills"]
    with temporary_folder() as folder, mlflow_server(folder / "mlflow", 0) as theirs:
        address = f"http://127.0.0.1:{theirs.server.port}"
        backend = {"OBSERVABILITY_BACKENDS": "mlflow", "MLFLOW_TRACKING_URI": address, "DELIVERY_LEASE_SECONDS": "3"}
        with platform(options["database"], folder / "platform", **backend) as ours:
            console.print(f"writing {jobs} journals of {reports * METRICS:,} points …", style="dim")
            size = [str(jobs), str(reports), str(METRICS)]
            program(python("-m", "observability.benchmarks.rig.journal", *size), ours.variables, seconds=HOURS)
            begun = time.perf_counter()
            killed = [
                backfill(ours, folder, jobs * reports * turn // (kills + 1), console) for turn in range(1, kills + 1)
            ]
            backfill(ours, folder, None, console)
            seconds = time.perf_counter() - begun
            console.print("reading everything back through MLflow …", style="dim")
            command = python("-m", "observability.benchmarks.rig.mlflow_read", address, *size[1:])
            found = json.loads(program(command, environment(**QUIET), seconds=HOURS))
            vendor = ours.database.vendor
    wanted = jobs * reports * METRICS
    made = table(f"A backfill into MLflow, killed {kills} times", "what", "seen", "wanted")
    made.add_row("jobs", f"{found['runs']:,}", f"{jobs:,}")
    made.add_row("points, by MLflow's own API", f"{found['points']:,}", f"{wanted:,}")
    made.add_row("runs or metrics that differ from the journal", f"{len(found['wrong']):,}", "0")
    made.add_row("records delivered when killed", ", ".join(f"{count:,}" for count in killed), "")
    made.add_row("points/s, with the interruptions", shown(wanted / seconds), "")
    console.print(made)
    missed = found["wrong"][:5]
    if (found["runs"], found["points"]) != (jobs, wanted):
        missed.append(f"{found['points']} of {wanted} points in {found['runs']} of {jobs} runs")
    figures = {"jobs": jobs, "points": wanted, "seconds": seconds, "killed_at": killed, "missed": missed}
    return {"databases": [vendor], "pairs": 1, **figures}


def backfill(ours: Platform, folder: Path, until: int | None, console: Console) -> int:
    """Run the command to its end, or kill it once so many records are delivered; how many were."""
    end = "its end" if until is None else f"{until:,} records"
    console.print(f"backfilling to {end} …", style="dim")
    command = python("manage.py", "backfill_observability", "--backend", "mlflow", "--all")
    log = folder / "backfill.log"
    with log.open("a") as words:
        process = subprocess.Popen(
            command, env=dict(ours.variables), cwd=settings.BASE_DIR, stdout=words, stderr=words, start_new_session=True
        )
    try:
        while process.poll() is None and (until is None or int(ours.database.value(SENT)) < until):
            time.sleep(0.05 if until is None else 0.01)
        ended = process.poll()
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
    if ended != (0 if until is None else None):
        raise BenchmarkError(f"the backfill ended with {ended} before {end}:\n{log.read_text()[-2000:]}")
    return int(ours.database.value(SENT))
