"""How fast the web process is there, how much memory it takes, and which libraries it does not load."""

import http.client
import time
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from platform_site.processes import python
from training.benchmarks.rig import BenchmarkError
from training.benchmarks.rig.figures import percentile, shown, table
from training.benchmarks.rig.folder import temporary_folder
from training.benchmarks.rig.processes import program
from training.benchmarks.rig.site import Site, site

HEAVY = ("torch", "mlflow", "clearml", "wandb", "pyarrow", "boto3")
PAGES = ("/jobs/", "/sign-in/", "/readyz")
REQUEST_SECONDS = 30.0
LOADED = "import platform_site.asgi, sys; print(*sys.modules)"


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--pairs", type=int, default=5, help="how often the server is started")
    parser.add_argument("--requests", type=int, default=200, help="how many pages are asked for after each start")
    parser.add_argument("--database", default="sqlite", metavar="URL", help="sqlite (the default), or postgres://…")


def run(options: Mapping[str, Any], console: Console) -> dict[str, Any]:
    starts = []
    with temporary_folder() as folder:
        for number in range(options["pairs"]):
            console.print(f"start {number + 1} of {options['pairs']} …", style="dim")
            with site(options["database"], folder / str(number), 1) as ours:
                starts.append(one_start(ours, options["requests"]))
                modules = {name.partition(".")[0] for name in program(python("-c", LOADED), ours.variables).split()}
                vendor = ours.database.vendor
    figures = {name: percentile([start[name] for start in starts], 0.5) for name in starts[0]}
    loaded = sorted(modules & set(HEAVY))
    made = table(f"The web process, medians of {len(starts)} starts on {vendor}", "what", "seen", "wanted")
    made.add_row("start to first answer, s", shown(figures["start_seconds"]), "< 3")
    made.add_row("of it processor time, s", shown(figures["start_processor_seconds"]), "")
    made.add_row("resident memory after start, MB", shown(figures["start_mb"]), "< 200")
    made.add_row(f"after {options['requests']} pages, MB", shown(figures["pages_mb"]), "< 200")
    made.add_row("page, median ms", shown(figures["page_p50_ms"]), "")
    made.add_row("heavy libraries loaded", ", ".join(loaded) or "none", "none")
    console.print(made)
    return {"databases": [vendor], "pairs": len(starts), **figures, "heavy_loaded": loaded}


def one_start(ours: Site, requests: int) -> dict[str, float]:
    """The figures of one start, before and after pages were asked for."""
    start_mb, _ = ours.server.memory()
    times = pages_get(ours, requests)
    pages_mb, _ = ours.server.memory()
    return {
        "start_seconds": ours.server.seconds_to_start,
        "start_processor_seconds": ours.server.processor_seconds_to_start,
        "start_mb": start_mb,
        "pages_mb": pages_mb,
        "page_p50_ms": 1000 * percentile(times, 0.5),
    }


def pages_get(ours: Site, requests: int) -> list[float]:
    """Ask for pages as someone who has signed in; seconds for each. Raises BenchmarkError if one is not answered."""
    connection = http.client.HTTPConnection("127.0.0.1", ours.server.port, timeout=REQUEST_SECONDS)
    pages = [*PAGES, *(f"/jobs/{client['run']}/" for client in ours.clients)]
    seconds = []
    for number in range(requests):
        page = pages[number % len(pages)]
        start = time.perf_counter()
        connection.request("GET", page, headers={"Cookie": ours.cookie})
        response = connection.getresponse()
        response.read()
        if response.status >= 400:
            raise BenchmarkError(f"{page} was answered {response.status}")
        seconds.append(time.perf_counter() - start)
    connection.close()
    return seconds
