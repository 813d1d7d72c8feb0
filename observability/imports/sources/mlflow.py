"""MLflow: runs of a tracking server, or of whatever else a tracking address names."""

import os
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from observability.adapters.mlflow import NAMES
from observability.imports.base import (
    CANCELLED,
    COMPLETED,
    FAILED,
    UNFINISHED,
    Artifact,
    Reading,
    RunFacts,
    Source,
    SourceError,
)

STATUSES = {"FINISHED": COMPLETED, "FAILED": FAILED, "KILLED": CANCELLED}
SHORTENED = "platform.name."
PAGE = 10_000  # points, or runs, asked for at once
RUNS_PAGE = 1000
MOST_FILES = 2000
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}


class Mlflow(Source):
    """Points come page by page, ordered by time, then step, then value."""

    name = "mlflow"
    label = "MLflow"

    @staticmethod
    def arguments(parser: ArgumentParser) -> None:
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        parser.add_argument("--uri", default=uri, help="tracking address (default: MLFLOW_TRACKING_URI)")
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument(
            "--of", action="append", metavar="EXPERIMENT", help="name or id of an MLflow experiment; repeatable"
        )
        which.add_argument("--run", action="append", metavar="ID", help="id of a run; repeatable")
        which.add_argument("--all", action="store_true", help="every run of every experiment")

    def __init__(self, options: Mapping[str, Any]) -> None:
        if not options["uri"]:
            raise SourceError("Name the tracking server: --uri http://…, or set MLFLOW_TRACKING_URI.")
        os.environ.update(QUIET)
        try:
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
        except ImportError as error:
            raise SourceError(f"MLflow is not installed here: {error}") from error
        self._error = MlflowException
        self._uri = str(options["uri"]).rstrip("/")
        self._options = options
        self._client = MlflowClient(self._uri)
        self._experiments: dict[str, str] = {}

    def runs(self) -> list[str]:
        try:
            if self._options["run"]:
                return list(dict.fromkeys(self._options["run"]))
            return [run for experiment in self._chosen() for run in self._runs_of(experiment)]
        except self._error as error:
            raise SourceError(f"MLflow at {self._uri}: {error}") from error

    def _chosen(self) -> list[str]:
        """The ids of the experiments that were asked for. Raises SourceError for one that is not there."""
        if not self._options["of"]:
            return [one.experiment_id for one in _pages(self._client.search_experiments, RUNS_PAGE)]
        chosen = []
        for wanted in self._options["of"]:
            found = self._client.get_experiment_by_name(wanted)
            if found is None and wanted.isdigit():
                found = self._client.get_experiment(wanted)
            if found is None:
                names = ", ".join(one.name for one in _pages(self._client.search_experiments, RUNS_PAGE))
                raise SourceError(f"MLflow has no experiment {wanted}; there are: {names[:1000]}.")
            chosen.append(found.experiment_id)
        return chosen

    def _runs_of(self, experiment: str) -> Iterator[str]:
        def page(**options: Any) -> Any:
            return self._client.search_runs([experiment], order_by=["attributes.start_time ASC"], **options)

        return (run.info.run_id for run in _pages(page, RUNS_PAGE))

    def read(self, run: str, reading: Reading) -> RunFacts:
        try:
            found = self._client.get_run(run)
            original = _original_names(found.data.tags)
            for key in found.data.metrics:
                self._history(run, key, original(key), reading)
            return self._facts(found, reading)
        except self._error as error:
            raise SourceError(str(error)) from error

    def _history(self, run: str, key: str, name: str, reading: Reading) -> None:
        store, token = self._client._tracking_client.store, None
        while True:  # the client's own method holds all pages in memory
            page = store.get_metric_history(run, key, max_results=PAGE, page_token=token)
            for point in page:
                reading.point(name, point.step, point.timestamp / 1000, point.value)
            token = page.token
            if not token:
                return

    def _facts(self, run: Any, reading: Reading) -> RunFacts:
        info, tags = run.info, dict(run.data.tags)
        status = STATUSES.get(info.status, UNFINISHED)
        return RunFacts(
            name=info.run_name or info.run_id,
            project=self._experiment(info.experiment_id),
            status=status,
            reason=tags.get("platform.error", "") or f"{info.status.lower()} in MLflow",
            address=self._address(info),
            started=_seconds(info.start_time),
            ended=_seconds(info.end_time),
            trainer=tags.get("platform.trainer", ""),
            task_type=tags.get("platform.task_type", ""),
            model_name=tags.get("platform.model_name", ""),
            config={_original_names(tags)(key): value for key, value in run.data.params.items()},
            tags={name: value for name, value in tags.items() if name != "mlflow.log-model.history"},
            artifacts=self._artifacts(info, reading),
        )

    def _experiment(self, number: str) -> str:
        if number not in self._experiments:
            self._experiments[number] = self._client.get_experiment(number).name
        return self._experiments[number]

    def _address(self, info: Any) -> str:
        if not self._uri.startswith("http"):
            return f"{self._uri}, run {info.run_id}"
        site = urlsplit(self._uri)._replace(netloc=urlsplit(self._uri).netloc.rpartition("@")[2]).geturl()
        return f"{site}/#/experiments/{info.experiment_id}/runs/{info.run_id}"

    def _artifacts(self, info: Any, reading: Reading) -> list[Artifact]:
        """The run's files. Where their store can't be asked from here, the store's own address is what is left."""
        found: list[Artifact] = []
        folders = [""]
        try:
            while folders and len(found) < MOST_FILES:
                for one in self._client.list_artifacts(info.run_id, folders.pop() or None):
                    if one.is_dir:
                        folders.append(one.path)
                    else:
                        found.append(Artifact(one.path, f"{info.artifact_uri}/{one.path}", one.file_size))
        except (
            Exception
        ) as error:  # whatever the library of somebody's store raises; the run is worth more than its list
            reading.trouble(f"its files could not be listed: {type(error).__name__}: {error}"[:500])
            return found or [Artifact("artifacts", info.artifact_uri)]
        return found


def _original_names(tags: Mapping[str, str]) -> Callable[[str], str]:
    """How names are read: as they are; of runs that a platform like this one has sent, as they were before."""
    if "platform.job_id" not in tags:
        return str
    shortened = {key.removeprefix(SHORTENED): name for key, name in tags.items() if key.startswith(SHORTENED)}

    def original(key: str) -> str:
        try:
            return NAMES.decode(key, shortened)
        except (KeyError, ValueError):  # somebody has added it in MLflow
            return key

    return original


def _pages(ask: Any, size: int) -> Iterator[Any]:
    token = None
    while True:
        page = ask(max_results=size, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _seconds(milliseconds: int | None) -> float | None:
    return milliseconds / 1000 if milliseconds else None
