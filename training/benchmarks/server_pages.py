"""How long the server takes for each page, with ten thousand jobs and a thousand datasets in the database."""

import http.client
import json
import time
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from rich.console import Console

from platform_site.processes import python
from training.benchmarks.rig import BenchmarkError
from training.benchmarks.rig.figures import percentile, shown, table
from training.benchmarks.rig.folder import temporary_folder
from training.benchmarks.rig.processes import program
from training.benchmarks.rig.site import Site, site

REQUEST_SECONDS = 30.0
FILL_SECONDS = 570.0
METRIC = "metric:metrics/mAP50-95(B)"
COLUMNS = {"column": [METRIC, "setting:epochs", "setting:batch"]}


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--database", default="sqlite", metavar="URL", help="sqlite (the default), or postgres://…")
    parser.add_argument("--jobs", type=int, default=10_000, help="jobs in the database")
    parser.add_argument("--with-points", type=int, default=500, help="how many of them have points in the journal")
    parser.add_argument("--datasets", type=int, default=1000, help="datasets in the database")
    parser.add_argument("--requests", type=int, default=11, help="how often each page is asked for")
    parser.add_argument("--most-ms", type=float, default=150.0, help="what a page may take (median)")


def run(options: Mapping[str, Any], console: Console) -> dict[str, Any]:
    with temporary_folder() as folder, site(options["database"], folder / "site", 1) as ours:
        console.print(f"filling the database with {options['jobs']:,} jobs …", style="dim")
        counts = [str(options[name]) for name in ("jobs", "datasets", "with_points")]
        command = python("-m", "training.benchmarks.rig.crowd", *counts)
        ids = json.loads(program(command, ours.variables, seconds=FILL_SECONDS))
        times, processor = pages_time(ours, pages(ids), options["requests"])
        vendor = ours.database.vendor
    title = f"{options['jobs']:,} jobs, {options['datasets']:,} datasets on {vendor}: ms per page"
    made = table(title, "page", "median", "p95", "processor", "wanted")
    medians = {name: 1000 * percentile(seconds, 0.5) for name, seconds in times.items()}
    for name, seconds in times.items():
        limit = f"< {options['most_ms']:g}"
        late = shown(1000 * percentile(seconds, 0.95))
        made.add_row(name, shown(medians[name]), late, shown(1000 * processor[name]), limit)
    console.print(made)
    if slow := [name for name, median in medians.items() if median >= options["most_ms"]]:
        raise BenchmarkError(f"{', '.join(slow)}: slower than {options['most_ms']:g} ms")
    return {"databases": [vendor], "jobs": options["jobs"], "page_p50_ms": medians, "processor_s": processor}


def pages(ids: Mapping[str, int]) -> dict[str, str]:
    """The addresses, each with every kind of filter and order that costs something."""
    rows = urlencode({**COLUMNS, "id": list(range(ids["job"], ids["job"] + 50)), "newest": ids["job"]}, doseq=True)
    return {
        "home": "/",
        "jobs": "/jobs/",
        "jobs, the last page": "/jobs/?page=100000",
        "jobs by a metric": f"/jobs/?{urlencode({**COLUMNS, 'sort': f'-{METRIC}'}, doseq=True)}",
        "jobs by a setting": f"/jobs/?{urlencode({**COLUMNS, 'sort': 'setting:epochs'}, doseq=True)}",
        "jobs by duration, far back": "/jobs/?sort=duration&page=150",
        "jobs of a text": "/jobs/?text=run+77",
        "jobs of a tag and state": "/jobs/?tag=tag+7&state=completed&state=failed&shown=all",
        "jobs where a metric is": f"/jobs/?{urlencode({'where': [f'{METRIC}>=0.9', 'setting:epochs=50']}, doseq=True)}",
        "rows of an open table": f"/jobs/rows/?{rows}",
        "job": f"/jobs/{ids['job']}/",
        "job, news": f"/jobs/{ids['job']}/news/?after=1",
        "job, metrics as JSON": f"/jobs/{ids['job']}/metrics.json",
        "job, its notes": f"/jobs/{ids['job']}/notes/",
        "new job": "/jobs/new/",
        "new job, a dataset searched": "/jobs/new/?find=bottles+99",
        "new job, a clone": f"/jobs/new/?from={ids['job']}",
        "datasets": "/datasets/",
        "datasets, a page far back": "/datasets/?page=20",
        "dataset": f"/datasets/{ids['dataset']}/",
        "projects": "/projects/",
        "project": f"/projects/{ids['project']}/",
        "experiment": f"/experiments/{ids['experiment']}/",
        "experiment, the best first": f"/experiments/{ids['experiment']}/?sort=best",
        "compare": f"/compare/?jobs={','.join(str(ids['job'] + n) for n in range(20))}",
        "imports": "/imports/",
        "weights": "/weights/",
        "workers": "/workers/",
        "people": f"/organizations/{ids['organization']}/",
        "audit log": f"/organizations/{ids['organization']}/audit/",
        "API keys": "/account/keys/",
        "REST, jobs": "/api/v1/training/jobs",
        "REST, datasets": "/api/v1/training/datasets",
        "REST, projects": "/api/v1/training/projects",
    }


def pages_time(
    ours: Site, addresses: Mapping[str, str], requests: int
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Seconds of each request, in turns, and the web process's own processor time for one of each page.

    The first request of each page, which loads templates, is not counted.
    """
    connection = http.client.HTTPConnection("127.0.0.1", ours.server.port, timeout=REQUEST_SECONDS)
    times: dict[str, list[float]] = {name: [] for name in addresses}
    processor = dict.fromkeys(addresses, 0.0)
    for turn in range(requests + 1):
        for name, address in addresses.items():
            used, start = ours.server.processor_seconds(), time.perf_counter()
            connection.request("GET", address, headers={"Cookie": ours.cookie})
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                raise BenchmarkError(f"{address} was answered {response.status}")
            if turn:
                times[name].append(time.perf_counter() - start)
                processor[name] += (ours.server.processor_seconds() - used) / requests
    connection.close()
    return times, processor
