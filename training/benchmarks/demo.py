"""How long it takes from `make demo`, installed, to the first point that a signed-in person's page can show."""

import re
import time
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from platform_site.processes import environment, python
from training.benchmarks.rig import BenchmarkError
from training.benchmarks.rig.figures import percentile, shown, table
from training.benchmarks.rig.folder import temporary_folder
from training.benchmarks.rig.processes import free_port, server

FIRST_POINT_SECONDS = 180.0
END_SECONDS = 1800.0
DRAWN = "train/"


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--pairs", type=int, default=3, help="how often the demonstration is started")
    parser.add_argument("--whole", action="store_true", help="let the first run end, and tell what it reached")


def run(options: Mapping[str, Any], console: Console) -> dict[str, Any]:
    starts: list[dict[str, float]] = []
    with temporary_folder() as folder:
        for number in range(options["pairs"]):
            console.print(f"start {number + 1} of {options['pairs']} …", style="dim")
            starts.append(one_start(folder / str(number), whole=options["whole"] and number == 0))
    figures = {name: percentile([start[name] for start in starts if name in start], 0.5) for name in starts[0]}
    made = table(f"`manage.py up --demo`, medians of {len(starts)} starts on sqlite", "what", "seen", "wanted")
    made.add_row("to the page's address, s", shown(figures["address_seconds"]), "")
    made.add_row("to the first point on the page, s", shown(figures["first_point_seconds"]), "< 25")
    if "run_seconds" in figures:
        made.add_row("the whole run, s", shown(figures["run_seconds"]), "")
        made.add_row("metrics/mAP50(B) reached", shown(figures["map50"]), ">= 0.9")
    console.print(made)
    return {"databases": ["sqlite"], "pairs": len(starts), **figures}


def one_start(folder: Path, whole: bool) -> dict[str, float]:
    """Start the demonstration in an empty folder, sign in as it says, and ask for points until there are some."""
    port = free_port()
    site = f"http://127.0.0.1:{port}"
    command = python("manage.py", "up", "--demo", "--port", str(port))
    variables = environment(DATA_DIR=str(folder), SITE_URL=site, DATABASE_URL="", REDIS_URL="", CELERY_BROKER_URL="")
    begun = time.perf_counter()
    with server("demo", command, variables, folder, port, "/healthz", 60.0), httpx.Client(base_url=site) as browser:
        path, password = words_wait(folder / "logs" / "demo.log")
        figures = {"address_seconds": time.perf_counter() - begun}
        sign_in(browser, password)
        points_wait(browser, path)
        figures["first_point_seconds"] = time.perf_counter() - begun
        if whole:
            figures |= {"map50": end_wait(folder / "logs" / "demo.log"), "run_seconds": time.perf_counter() - begun}
    return figures


def words_wait(log: Path) -> tuple[str, str]:
    """The page's path and the password that the demonstration prints."""
    deadline = time.monotonic() + FIRST_POINT_SECONDS
    while time.monotonic() < deadline:
        said = log.read_text("utf-8", "replace")
        if found := re.search(r"(/jobs/\d+/)\s.*?demo / (\S+)\s", said, re.DOTALL):
            return found[1], found[2]
        time.sleep(0.05)
    raise BenchmarkError("the demonstration did not print its page's address")


def sign_in(browser: httpx.Client, password: str) -> None:
    browser.get("/sign-in/").raise_for_status()
    form = {"username": "demo", "password": password, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    if browser.post("/sign-in/", data=form).status_code != 302:
        raise BenchmarkError("the printed password does not sign in")


def points_wait(browser: httpx.Client, path: str) -> None:
    """Return once the page's data hold a point of the training."""
    deadline = time.monotonic() + FIRST_POINT_SECONDS
    while time.monotonic() < deadline:
        answer = browser.get(f"{path}metrics.json").raise_for_status()
        if f'"{DRAWN}' in answer.text:
            return
        time.sleep(0.05)
    raise BenchmarkError(f"no point came within {FIRST_POINT_SECONDS:g} s")


def end_wait(log: Path) -> float:
    """The detector's score at the end of the run."""
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        said = log.read_text("utf-8", "replace")
        if "The platform keeps running" in said:
            found = re.search(r"metrics/mAP50\(B\)[^\d\n]*([\d.]+)", said)
            if found is None:
                raise BenchmarkError(f"the run ended without a score:\n{said[-1500:]}")
            return float(found[1])
        time.sleep(0.5)
    raise BenchmarkError(f"the run did not end within {END_SECONDS:g} s")
