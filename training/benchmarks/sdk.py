"""What a report costs the training thread, and that a killed trainer loses none of its reports."""

import json
import signal
import subprocess
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from django.conf import settings
from rich.console import Console

from platform_site.processes import environment, python
from training.benchmarks.rig import BenchmarkError
from training.benchmarks.rig.figures import percentile, shown, table
from training.benchmarks.rig.folder import temporary_folder
from training.benchmarks.rig.processes import PROGRAM_SECONDS, program
from training.benchmarks.rig.site import Site, site, stored_check

METRICS = 10
PAUSES = (0.0, 0.002)  # seconds between two reports: with none, the sender has hardly begun when the end comes
# Trainers are programs of their own, which the platform never imports: these two are texts.
OPENING = f"""
import json, os, signal, sys, time
from trainers.sdk import TrainerSDK
metrics = {{f"train/metric_{{index}}": index / 7 for index in range({METRICS})}}
sdk, count = TrainerSDK(), int(sys.argv[1])
sdk.report_started(total_epochs=1)
"""
COST = f"""{OPENING}
costs = []
for step in range(count):
    begun = time.perf_counter_ns()
    sdk.report_progress(metrics, epoch=1, step=step)
    ended = time.perf_counter_ns()
    costs.append((ended - begun) / 1000)
    while time.perf_counter_ns() < ended + 1_000_000:  # a millisecond of training
        sum(range(100))
if not sdk.close(60):
    sys.exit("not all reports were answered")
print(json.dumps(costs))
"""
KILLED = f"""{OPENING}
for step in range(count):
    time.sleep(float(sys.argv[2]))
    sdk.report_progress(metrics, epoch=1, step=step)
os.kill(os.getpid(), signal.SIGKILL)
"""


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--reports", type=int, default=5000, help="how many reports are timed each time")
    parser.add_argument("--pairs", type=int, default=3, help="how often they are timed")
    parser.add_argument("--rounds", type=int, default=10, help="how many trainers are killed")
    parser.add_argument("--database", default="sqlite", metavar="URL", help="sqlite (the default), or postgres://…")


def run(options: Mapping[str, Any], console: Console) -> dict[str, Any]:
    timed, rounds, acknowledged = options["pairs"], options["rounds"], 0
    costs, left = [], []
    with temporary_folder() as folder, site(options["database"], folder / "site", timed + rounds) as ours:
        trainers = [variables(ours, client, folder) for client in ours.clients]
        for number, trainer in enumerate(trainers[:timed]):
            console.print(f"timing, {number + 1} of {timed} …", style="dim")
            costs.append(json.loads(program(python("-c", COST, str(options["reports"])), trainer)))
            acknowledged += options["reports"] * METRICS
            stored_check("timing", ours.database.points(), acknowledged)
        for number, trainer in enumerate(trainers[timed:]):
            console.print(f"killing, {number + 1} of {rounds} …", style="dim")
            reports = 50 + 137 * number
            kill(trainer, reports, PAUSES[number % len(PAUSES)])
            acknowledged += reports * METRICS
            left.append(acknowledged - ours.database.points())
            program(python("-m", "trainers.sdk.drain", "--seconds", "60"), trainer)
            stored_check("a killed trainer", ours.database.points(), acknowledged)
        lost, vendor = acknowledged - ours.database.points(), ours.database.vendor
    figures = {f"p{part}_us": median(percentile(seen, part / 100) for seen in costs) for part in (50, 99)}
    made = table(f"report_progress with {METRICS} metrics, server on {vendor}", "what", "seen", "wanted")
    made.add_row("median, µs", shown(figures["p50_us"]), "< 50")
    made.add_row("p99, µs", shown(figures["p99_us"]), "< 500")
    made.add_row("trainers killed", str(rounds), "")
    made.add_row("points not yet sent when killed", f"{sum(left):,}", "")
    made.add_row("points lost or doubled after the drain", str(lost), "0")
    console.print(made)
    counts = {"reports": options["reports"], "killed": rounds, "unsent_points": sum(left), "lost_points": lost}
    return {"databases": [vendor], "pairs": timed, **figures, **counts}


def variables(ours: Site, client: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """What the platform gives a trainer of this job (docs/trainer-protocol.md)."""
    own = folder / f"trainer-{client['run']}"
    for name in ("work", "spool"):
        (own / name).mkdir(parents=True)
    return environment(
        CALLBACK_URL=ours.url + client["path"].removesuffix("/progress"),
        CALLBACK_TOKEN=client["headers"]["Authorization"].removeprefix("Bearer "),
        JOB_ID=client["run"],
        ATTEMPT="1",
        OPERATION="train",
        WORK_DIR=str(own / "work"),
        SPOOL_DIR=str(own / "spool"),
    )


def kill(trainer: Mapping[str, str], reports: int, pause: float) -> None:
    """Run a trainer that kills itself as soon as its last report has been taken."""
    command = python("-c", KILLED, str(reports), str(pause))
    try:
        done = subprocess.run(
            command, env=dict(trainer), cwd=settings.BASE_DIR, capture_output=True, timeout=PROGRAM_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"a trainer did not end within {PROGRAM_SECONDS:g} s") from error
    if done.returncode != -signal.SIGKILL:
        raise BenchmarkError(f"a trainer was to be killed, but ended otherwise:\n{done.stderr.decode()[-2000:]}")
