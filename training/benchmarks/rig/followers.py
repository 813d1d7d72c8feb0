"""A delivery worker of a site, and the tracking tools that it tells: at work only while their site's turn is on."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

from platform_site.processes import Children, python
from training.benchmarks.rig import BenchmarkError
from training.benchmarks.rig.database import Database
from training.benchmarks.rig.mlflow import mlflow_server
from training.benchmarks.rig.processes import group_kill
from training.benchmarks.rig.site import Site

KNOWN = ("mlflow", "tensorboard", "wandb")
TOLD_SECONDS = 120.0
WORKER = ("--queues", "delivery", "--pool", "threads", "--concurrency", "2", "--without-gossip", "--without-mingle")


class Followers:
    """A worker's processes, stopped between turns so that what they are behind does not burden the other side."""

    def __init__(self, pid: int, backends: list[str], database: Database) -> None:
        self.backends = backends
        self._process = psutil.Process(pid)
        self._database = database
        self._pause()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        self._each(signal.SIGCONT)
        try:
            yield
        finally:
            self._pause()

    def told(self) -> dict[str, int]:
        """The points that each backend has been told."""
        query = "SELECT coalesce(sum(points), 0) FROM observability_delivery WHERE backend = '{}'"
        return {name: int(self._database.value(query.format(name))) for name in self.backends}

    def all_told_wait(self) -> None:
        """Work until each backend was told something: SDKs are imported and experiments made then."""
        deadline = time.monotonic() + TOLD_SECONDS
        with self.at_work():
            while not all(self.told().values()):
                if time.monotonic() > deadline or not self._process.is_running():
                    raise BenchmarkError(f"not every backend was told something: {self.told()}")
                time.sleep(0.2)

    def _pause(self) -> None:
        self._each(signal.SIGSTOP)

    def _each(self, number: signal.Signals) -> None:
        with suppress(psutil.NoSuchProcess):
            for process in (self._process, *self._process.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)


@contextmanager
def backends(names: list[str], folder: Path) -> Iterator[dict[str, str]]:
    """The variables under which these backends are configured; a real MLflow server of its own among them."""
    if unknown := set(names) - set(KNOWN):
        raise BenchmarkError(f"unknown followers: {', '.join(sorted(unknown))}; known are {', '.join(KNOWN)}")
    variables = {"OBSERVABILITY_BACKENDS": ",".join(names)}
    variables |= {"TENSORBOARD_LOG_DIR": str(folder / "events"), "WANDB_DIR": str(folder / "runs")}
    with ExitStack() as stack:
        if "mlflow" in names:
            theirs = stack.enter_context(mlflow_server(folder / "followed-mlflow", 0))
            variables["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{theirs.server.port}"
        yield {**variables, "WANDB_MODE": "offline"}


@contextmanager
def followers(ours: Site, folder: Path, names: list[str]) -> Iterator[Followers]:
    """The site's delivery worker, stopped until its first turn; ended with all that it started."""
    children = Children(folder / "logs", dict(ours.variables))
    child = children.start("delivery", python("-m", "celery", "-A", "platform_site", "--quiet", "worker", *WORKER))
    assert child.process is not None
    try:
        yield Followers(child.process.pid, names, ours.database)
    except BenchmarkError as error:
        words = child.log.read_text("utf-8", "replace")[-2000:]
        raise BenchmarkError(f"{error}\nLast words of the delivery worker:\n{words}") from error
    finally:
        with suppress(ProcessLookupError):
            os.kill(child.process.pid, signal.SIGCONT)
        for process in psutil.Process(child.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)
        children.stop()
        group_kill(child.process.pid)
