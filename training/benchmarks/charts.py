"""What a chart costs the server: windows of a very long series beside the same of a short one."""

import json
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from platform_site.processes import environment, python
from training.benchmarks.rig.database import fresh_database
from training.benchmarks.rig.figures import shown, table
from training.benchmarks.rig.folder import temporary_folder
from training.benchmarks.rig.long_run import SHORT
from training.benchmarks.rig.processes import program

SECONDS = 3600.0


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--points", type=int, default=10_000_000, help="length of the long series")
    parser.add_argument("--database", nargs="+", default=["sqlite"], metavar="URL", help="sqlite, or postgres://…")


def run(options: Mapping[str, Any], console: Console) -> dict[str, Any]:
    figures = {}
    for url in options["database"]:
        with temporary_folder() as folder, fresh_database(url, folder) as database:
            variables = environment(DATA_DIR=str(folder / "data"), DATABASE_URL=database.url, REDIS_URL="")
            program(python("manage.py", "migrate", "--verbosity", "0"), variables)
            command = python("-m", "training.benchmarks.rig.long_run", str(options["points"]))
            found = json.loads(program(command, variables, seconds=SECONDS))
            console.print(_table(found, options["points"], database.vendor))
            figures[database.vendor] = found
    return {"databases": list(figures), "points": options["points"], "pairs": 1, "figures": figures}


def _table(found: Mapping[str, Any], points: int, vendor: str) -> Any:
    ms = found["ms"]
    title = f"A window of {points:,} points on {vendor}, ms on the server (wanted: < 50, and ≤ 1.5 × that of {SHORT:,})"
    made = table(title, "window", f"{points:,}", f"{SHORT:,}", "ratio")
    for name in (key.removeprefix("long, ") for key in ms if key.startswith("long, ")):
        long, short = ms[f"long, {name}"], ms[f"short, {name}"]
        made.add_row(name, shown(long), shown(short), shown(long / short))
    share = found["seconds"]["rollup"] / points * 1e6
    made.add_row("rolling up, µs a point", shown(share), "", "")
    return made
