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
signed_zero = False


class Server:
    """The server on one port and one folder, which may be ended and begun again."""

    def __init__(self, folder: Path) -> None:
        self.address = f"http://127.0.0.1:{free_port()}"
        self._folder = folder

    @contextmanager
    def running(self) -> Iterator[None]:
        """It answers; at the end it is gone, workers and all."""
        command = [str(Path(sysconfig.get_path("scripts")) / "mlflow"), "server", "--workers", "1"]
        command += ["--host", "127.0.0.1", "--port", self.address.rpartition(":")[2]]
        command += ["--backend-store-uri", f"sqlite:///{self._folder / 'mlflow.sqlite3'}"]
        command += ["--artifacts-destination", str(self._folder / "artifacts")]
        log = self._folder / "server.log"
        with log.open("a") as file:
            process = subprocess.Popen(
                command, cwd=self._folder, env=quiet_environment(), stdout=file, stderr=file, start_new_session=True
            )
        with ended(process):
            _await(self.address, log, process)
            yield


@contextmanager
def backend(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment variables that reach it."""
    server = Server(tmp_path)
    with server.running():
        yield {"MLFLOW_TRACKING_URI": server.address}


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
