"""What pages of runs cost: windows of very long series, roll-ups, a job of many series, live points to the pixel."""

import json
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from platform_site.processes import environment, python
from training.benchmarks.rig.database import fresh_database
from training.benchmarks.rig.figures import percentile, shown, table
from training.benchmarks.rig.folder import temporary_folder
from training.benchmarks.rig.live_page import memory_grown, pixels_time, static_weight
from training.benchmarks.rig.long_run import SHORT
from training.benchmarks.rig.many_series import METRICS
from training.benchmarks.rig.processes import program
from training.benchmarks.rig.site import Site, site
from training.benchmarks.sdk import variables
from training.benchmarks.server_pages import pages_time

SECONDS = 3600.0
SPARE = 11  # jobs beside those that are watched: each reporter numbers its reports, so no two may share one
LOAD_SECONDS = 5.0
REPORTS = 200  # of the job with many series
MEMORY_RATE = 100.0  # points a second, so that minutes are like an hour at ten
HOUR_SERIES, HOUR_POINTS, HOUR_RATE, HOUR_MINUTES = 20, 36_000, 400.0, 30.0  # as fast as they come, at most so long
PARTS = ("windows", "server", "pixel", "memory")
WINDOW_MS, WINDOW_RATIO, ROLLUP_SHARE, PAGE_MS, WEIGHT_KB, PIXEL_MS = 50.0, 1.5, 0.15, 150.0, 150.0, 250.0


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--points", type=int, default=10_000_000, help="length of the long series")
    parser.add_argument("--series", type=int, default=200, help="metrics of the job whose page is asked for")
    parser.add_argument("--jobs", type=int, default=20, help="jobs that report while a page is watched")
    parser.add_argument("--rate", type=float, default=10.0, help="reports a second of each")
    parser.add_argument("--pages", type=int, default=50, help="open pages, one of them in a real Chromium")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long it is watched")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long the page's memory is looked at")
    parser.add_argument("--hour", action="store_true", help="its memory while it is sent what 20 series are in an hour")
    parser.add_argument("--no-limits", action="store_true", help="only look: nothing is below what is wanted")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="only some of it")
    parser.add_argument("--database", nargs="+", default=["sqlite"], metavar="URL", help="sqlite, or postgres://…")


def run(options: Mapping[str, Any], console: Console) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    missed: list[str] = []
    for url in options["database"]:
        found: dict[str, Any] = {}
        with temporary_folder() as folder:
            if "windows" in options["parts"]:
                found |= windows_measure(url, folder / "windows", options["points"], console, missed)
            if set(options["parts"]) - {"windows"}:
                with site(url, folder / "site", options["jobs"] + SPARE) as ours:
                    found |= site_measure(ours, folder, options, console, missed)
        figures["postgresql" if url.startswith("postgres") else "sqlite"] = found
    return {"databases": list(figures), "points": options["points"], "pairs": 1, "figures": figures} | {
        "missed": [] if options["no_limits"] else missed
    }


def windows_measure(url: str, folder: Path, points: int, console: Console, missed: list[str]) -> dict[str, Any]:
    folder.mkdir()
    with fresh_database(url, folder) as database:
        known = environment(DATA_DIR=str(folder / "data"), DATABASE_URL=database.url, REDIS_URL="")
        program(python("manage.py", "migrate", "--verbosity", "0"), known)
        command = python("-m", "training.benchmarks.rig.long_run", str(points))
        found: dict[str, Any] = json.loads(program(command, known, seconds=SECONDS))
    ms, seconds = found["ms"], found["seconds"]
    title = f"A window of {points:,} points on {database.vendor}, ms on the server; made in {seconds['write']:.0f} s"
    made = table(title, "window", f"{points:,}", f"{SHORT:,}", "ratio", "wanted")
    for name in (key.removeprefix("long, ") for key in ms if key.startswith("long, ")):
        long, short = ms[f"long, {name}"], ms[f"short, {name}"]
        made.add_row(name, shown(long), shown(short), shown(long / short), f"< {WINDOW_MS:g}, ≤ {WINDOW_RATIO:g} ×")
        if long >= WINDOW_MS or long > WINDOW_RATIO * short:
            missed.append(f"the window '{name}' takes {long:.1f} ms, {long / short:.2f} × the short one")
    made.add_row("rolling up, µs a point", shown(seconds["rollup"] / points * 1e6), "", "", "")
    console.print(made)
    return found


def site_measure(
    ours: Site, folder: Path, options: Mapping[str, Any], console: Console, missed: list[str]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    rows: list[tuple[str, float, float]] = []
    live, spare = ours.clients[: options["jobs"]], ours.clients[options["jobs"] :]
    if "server" in options["parts"]:
        found |= server_measure(ours, spare[1:], options["series"], rows)
    if "pixel" in options["parts"]:
        console.print(f"watching a page for {options['seconds']:g} s …", style="dim")
        trainers = [variables(ours, client, folder) for client in live]
        times = pixels_time(ours, trainers, live[0]["run"], options["rate"], options["seconds"], options["pages"])
        for name, part in (("got", "call to page"), ("drawn", "call to pixel")):
            found |= {f"{name}_p50_ms": percentile(times[name], 0.5), f"{name}_p95_ms": percentile(times[name], 0.95)}
            rows.append((f"{part}, median ms", found[f"{name}_p50_ms"], 0.0))
            rows.append((f"{part}, p95 ms", found[f"{name}_p95_ms"], PIXEL_MS if name == "drawn" else 0.0))
    if "memory" in options["parts"]:
        found["memory_mb"] = memory_measure(ours, variables(ours, spare[0], folder), spare[0]["run"], options, console)
        (_, first, _), (sent, last, _) = found["memory_mb"][0], found["memory_mb"][-1]
        half = [used for points, used, _ in found["memory_mb"] if points <= sent / 2]
        rows.append((f"page's memory after {found['memory_mb'][0][0]:,} points, MB", first, 0.0))
        rows.append((f"after {sent:,} points, MB", last, 1.5 * max(half, default=first)))
    made = table(f"Pages on {ours.database.vendor}", "what", "seen", "wanted")
    for name, seen, limit in rows:
        made.add_row(name, shown(seen), f"< {shown(limit)}" if limit else "")
        if limit and seen >= limit:
            missed.append(f"{name}: {seen:.3g}, wanted below {limit:.3g}")
    console.print(made)
    return found


def memory_measure(
    ours: Site, trainer: Mapping[str, str], job: str, options: Mapping[str, Any], console: Console
) -> list[tuple[int, float, int]]:
    if options["hour"]:
        console.print(f"{HOUR_SERIES} series of {HOUR_POINTS:,} points go to a page …", style="dim")
        samples = memory_grown(ours, trainer, job, HOUR_RATE, HOUR_MINUTES, HOUR_SERIES, HOUR_POINTS)
    else:
        console.print(f"looking at a page's memory for {options['minutes']:g} min …", style="dim")
        samples = memory_grown(ours, trainer, job, MEMORY_RATE, options["minutes"])
    made = table("A page's memory after a collection", "points of each series", "MB", "nodes")
    for points, used, nodes in samples:
        made.add_row(f"{points:,}", shown(used), f"{nodes:,}")
    console.print(made)
    return samples


def server_measure(
    ours: Site, clients: list[dict[str, Any]], series: int, rows: list[tuple[str, float, float]]
) -> dict[str, Any]:
    """Roll-ups beside taking the reports, the page of a job with many series, and the weight of what browsers load."""
    many, plain, *loading = clients
    command = python("-m", "training.benchmarks.rig.many_series", many["run"], plain["run"], str(series), str(REPORTS))
    rolled = json.loads(program(command, ours.variables, seconds=SECONDS))["rollup_ms"]
    shares = {rows_: rolled / taking_ms(ours, loading, rows_) for rows_ in (1, 100)}
    rows.append(("roll-ups beside taking reports one by one", shares[1], ROLLUP_SHARE))
    rows.append(("the same beside batches of 100", shares[100], 0.0))
    addresses = {"job": f"/jobs/{many['run']}/", "its metrics": f"/jobs/{many['run']}/metrics.json"}
    times, _ = pages_time(ours, addresses, 9)
    medians = {name: 1000 * percentile(found, 0.5) for name, found in times.items()}
    for name, median in medians.items():
        rows.append((f"{name}, {series} series, median ms", median, PAGE_MS if name == "job" else 0.0))
    weights = static_weight(Path(ours.variables["STATIC_ROOT"]))
    rows.append(("all scripts and styles of pages, kB compressed", sum(weights.values()), WEIGHT_KB))
    return {
        "rollup_share": shares[1],
        "rollup_share_batches": shares[100],
        "page_p50_ms": medians,
        "static_kb": weights,
    }


def taking_ms(ours: Site, clients: list[dict[str, Any]], rows: int) -> float:
    """The web process's processor time for one report of ten metrics, sent in calls of `rows`."""
    plan = {"dialect": "ours", "host": "127.0.0.1", "port": ours.server.port, "clients": clients}
    plan |= {"seconds": LOAD_SECONDS, "rows": rows, "metrics": METRICS}
    before = ours.server.processor_seconds()
    command = python("-m", "training.benchmarks.rig.load")
    seen = json.loads(program(command, environment(), json.dumps(plan), LOAD_SECONDS + 60))
    for client, reports in zip(clients, seen["reports"], strict=True):
        client["reports"] = reports
    return 1000 * (ours.server.processor_seconds() - before) / (seen["calls"] * rows)
