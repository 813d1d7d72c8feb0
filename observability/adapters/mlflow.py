"""MLflow: a run per job in the experiment `<organization>/<project>`, over its REST API."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from observability.adapters._mlflow_words import (
    LONGEST_PARAMETER,
    LONGEST_TAG,
    NAMES,
    is_permanent,
    job_tags,
    refuses_batch,
)
from observability.base import Adapter, AdapterError, Ending, JobFacts, Losses, Report, State, Variable
from observability.failures import Failures
from observability.names import FOLDER
from observability.steps import step_of
from observability.texts import text_cut, text_of

STATUSES = {"completed": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}
# Retries are not an adapter's work, and MLflow's own take minutes; and nothing is told to its makers.
QUICK = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


class Mlflow(Adapter):
    """A repeated batch changes nothing: a point's primary key in the server is (name, time, step, value, is NaN)."""

    name = "mlflow"
    label = "MLflow"
    variables = (
        Variable("MLFLOW_TRACKING_URI", "Address of the tracking server", required=True),
        Variable("MLFLOW_TRACKING_USERNAME", "User, where the server asks for one"),
        Variable("MLFLOW_TRACKING_PASSWORD", "That user's password", secret=True),
        Variable("MLFLOW_TRACKING_TOKEN", "A bearer token, instead of user and password", secret=True),
    )
    losses = Losses(
        merges_equal_points=True,
        clamps_infinity=True,
        milliseconds=True,
        notes="-0.0 becomes 0.0. Points come back ordered by time, then step, then value.",
    )
    repeats_harmless = True
    batch_points = 1000

    def initialize(self, config: Mapping[str, str]) -> None:
        self._failures = Failures(self.variables, config, is_permanent, refuses_batch)
        os.environ.update(QUICK)
        os.environ.update({one.name: config[one.name] for one in self.variables if config.get(one.name)})
        with self._failures.translated("opening MLflow"):
            from mlflow import MlflowClient, entities

            self._entities = entities
            self._uri = config["MLFLOW_TRACKING_URI"].rstrip("/")
            self._client = MlflowClient(self._uri)

    def check(self) -> str:
        from mlflow.utils.rest_utils import http_request
        from mlflow.version import VERSION

        with self._failures.translated("asking MLflow for its version"):
            self._client.search_experiments(max_results=1)  # this asks for our credentials, the next doesn't
            if not self._uri.startswith("http"):
                return VERSION
            credentials = self._client._tracking_client.store.get_host_creds()
            return http_request(credentials, "/version", "GET").text.strip()

    def create_experiment(self, job: JobFacts, state: State) -> str:
        with self._failures.translated("opening MLflow's run"):
            experiment = self._experiment(f"{FOLDER.encode(job.organization)}/{FOLDER.encode(job.project)}")
            tags = job_tags(job)
            query = " and ".join(f"tags.`{key}` = '{tags[key]}'" for key in ("platform.job_id", "platform.created"))
            for run in self._client.search_runs([experiment], query, max_results=1):
                return str(run.info.run_id)
            run = self._client.create_run(experiment, round(job.created * 1000), tags, job.name)
            return str(run.info.run_id)

    def _experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found and found.lifecycle_stage != "active":
            raise AdapterError(f"The experiment {name} was deleted in MLflow: restore it there.", permanent=True)
        return str(found.experiment_id if found else self._client.create_experiment(name))

    def log_parameters(self, experiment_id: str, parameters: Mapping[str, Any], state: State) -> None:
        pairs = ((NAMES.encode(key), text_cut(text_of(value), LONGEST_PARAMETER)) for key, value in parameters.items())
        with self._failures.translated("sending the settings to MLflow"):
            self._client.log_batch(
                experiment_id,
                params=[self._entities.Param(key, value) for key, value in pairs],
                tags=self._whole_names(parameters),
            )

    def log_metrics(self, experiment_id: str, reports: Sequence[Report], state: State) -> None:
        names = {name for report in reports for name in report.names}
        with self._failures.translated("sending metrics to MLflow", batch=True):
            if state.pop("ended", False):
                self._client.update_run(experiment_id, status="RUNNING")
            points = list(self._points(reports))
            self._client.log_batch(experiment_id, metrics=points, tags=self._whole_names(names))

    def _points(self, reports: Sequence[Report]) -> Iterator[Any]:
        for report in reports:
            milliseconds, step = round(report.time * 1000), step_of(report)
            for name, value in zip(report.names, report.values, strict=True):
                yield self._entities.Metric(NAMES.encode(name), value, milliseconds, step)

    def _whole_names(self, names: Iterable[str]) -> list[Any]:
        digests = ((NAMES.digest(name), name) for name in sorted(names))
        return [self._entities.RunTag(f"platform.name.{digest}", name) for digest, name in digests if digest]

    def log_artifact(self, experiment_id: str, name: str, url: str, metadata: Mapping[str, Any], state: State) -> None:
        with self._failures.translated("linking an artifact in MLflow"):
            link = text_cut(text_of({"url": url, **metadata}), LONGEST_TAG)
            self._client.set_tag(experiment_id, f"platform.artifact.{NAMES.encode(name)}", link)

    def get_metrics(self, experiment_id: str, names: Sequence[str]) -> dict[str, list[tuple[int, float, float]]]:
        with self._failures.translated("reading metrics from MLflow"):
            return {name: self._history(experiment_id, NAMES.encode(name)) for name in names}

    def _history(self, run_id: str, key: str) -> list[tuple[int, float, float]]:
        points = self._client.get_metric_history(run_id, key)
        return [(point.step, point.timestamp / 1000, point.value) for point in points]

    def finalize(self, experiment_id: str, ending: Ending, state: State) -> None:
        with self._failures.translated("closing MLflow's run"):
            if ending.error:
                self._client.set_tag(experiment_id, "platform.error", text_cut(ending.error, LONGEST_TAG))
            ended = round((ending.time or time.time()) * 1000)
            self._client.set_terminated(experiment_id, STATUSES[ending.status], ended)
        state["ended"] = True

    def get_experiment_url(self, experiment_id: str) -> str:
        if not self._uri.startswith("http"):
            return ""
        with self._failures.translated("asking MLflow for a run"):
            experiment = self._client.get_run(experiment_id).info.experiment_id
        site = urlsplit(self._uri)._replace(netloc=urlsplit(self._uri).netloc.rpartition("@")[2]).geturl()
        return f"{site}/#/experiments/{experiment}/runs/{experiment_id}"
