"""A real MLflow tracking server on SQLite, and its database read without MLflow's client."""

import sqlite3
import subprocess
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from observability.tests.backends.processes import ended, free_port, quiet_environment

START_SECONDS = 90


@contextmanager
def backend(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment variables that reach it. It is ended, workers and all, at the end."""
    address = f"http://127.0.0.1:{free_port()}"
    command = [str(Path(sysconfig.get_path("scripts")) / "mlflow"), "server", "--workers", "1", "--host", "127.0.0.1"]
    command += ["--port", address.rpartition(":")[2], "--backend-store-uri", f"sqlite:///{tmp_path / 'mlflow.sqlite3'}"]
    command += ["--artifacts-destination", str(tmp_path / "artifacts")]
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=quiet_environment(), stdout=log, stderr=log, start_new_session=True
        )
    with ended(process):
        _await(address, tmp_path / "server.log", process)
        yield {"MLFLOW_TRACKING_URI": address}


def _await(address: str, log: Path, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(START_SECONDS * 10):
        try:
            urllib.request.urlopen(f"{address}/health", timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
    raise AssertionError(f"the server did not start: {log.read_text()}")


def read(experiment_id: str, config: Mapping[str, str]) -> dict[str, list[tuple[int, float, float]]]:
    """(step, time, value) of each point by the name that MLflow has, in the order of time, by its REST API."""
    from mlflow import MlflowClient

    client = MlflowClient(config["MLFLOW_TRACKING_URI"])
    return {
        key: [
            (point.step, point.timestamp / 1000, point.value) for point in client.get_metric_history(experiment_id, key)
        ]
        for key in client.get_run(experiment_id).data.metrics
    }


def rows(database: Path, run_id: str) -> list[tuple[str, int, float, bool]]:
    """(name, step, value, NaN or not) of each point as it lies in the server's own database."""
    with sqlite3.connect(database) as connection:
        found = connection.execute(
            "SELECT key, step, value, is_nan FROM metrics WHERE run_uuid = ? ORDER BY key, timestamp, step, value",
            [run_id],
        ).fetchall()
    return [(key, step, value, bool(is_nan)) for key, step, value, is_nan in found]
