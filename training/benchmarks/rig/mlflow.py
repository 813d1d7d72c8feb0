"""MLflow's tracking server on a fresh SQLite file: what ingest is measured against."""

import json
import sysconfig
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from platform_site.processes import environment
from training.benchmarks.rig import BenchmarkError
from training.benchmarks.rig.database import Database
from training.benchmarks.rig.processes import Server, free_port, server

API = "/api/2.0/mlflow"
START_SECONDS = 180.0
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


@dataclass
class Mlflow:
    """The server, its database, and a client for each of its runs."""

    server: Server
    database: Database
    clients: list[dict[str, Any]]

    def points(self) -> int:
        return int(self.database.value("SELECT count(*) FROM metrics"))


@contextmanager
def mlflow_server(folder: Path, runs: int) -> Iterator[Mlflow]:
    """`mlflow server` with two workers and `runs` runs; everything is gone at the end."""
    if find_spec("mlflow") is None:
        raise BenchmarkError("mlflow is not installed here")
    folder.mkdir(parents=True)
    port = free_port()
    database = Database(f"sqlite:///{folder / 'mlflow.sqlite3'}")
    command = [str(Path(sysconfig.get_path("scripts")) / "mlflow"), "server", "--workers", "2"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--backend-store-uri", database.url]
    command += ["--default-artifact-root", str(folder / "artifacts")]
    variables = environment(**QUIET, TMPDIR=str(folder))  # it leaves a lock file behind
    with server("mlflow", command, variables, folder, port, "/health", START_SECONDS) as running:
        clients = [run_make(port) for _ in range(runs)]
        yield Mlflow(running, database, clients)


def run_make(port: int) -> dict[str, Any]:
    """A new run, and the way to report to it."""
    body = json.dumps({"experiment_id": "0"}).encode()
    address = f"http://127.0.0.1:{port}{API}/runs/create"
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        run = json.load(response)["run"]["info"]["run_id"]
    return {"path": f"{API}/runs/log-batch", "headers": {}, "run": run}
