"""ClearML: a task per job in the project `<organization>/<project>`, through the SDK's APIClient (never Task.init)."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from observability.adapters._clearml_events import is_permanent, line_event, points_by_name, refuses_batch, scalars
from observability.base import Adapter, AdapterError, Ending, JobFacts, LogLine, Losses, Report, State, Variable
from observability.failures import Failures
from observability.names import FOLDER, group_split
from observability.texts import text_cut, text_of

LONGEST_MESSAGE = 1000


class ClearMl(Adapter):
    """A repeated scalar overwrites itself; of log lines the server is asked how many it has, and the rest is sent.

    So the task's log must be ours alone.
    """

    name = "clearml"
    label = "ClearML"
    variables = (
        Variable("CLEARML_API_HOST", "Address of the API server", required=True),
        Variable("CLEARML_API_ACCESS_KEY", "Access key", required=True, secret=True),
        Variable("CLEARML_API_SECRET_KEY", "Secret key", required=True, secret=True),
        Variable("CLEARML_WEB_HOST", "Address of the web pages, for the links"),
    )
    losses = Losses(
        float32=True,
        merges_equal_steps=True,
        drops_nonfinite=True,
        milliseconds=True,
        notes="Also drops values beyond ±3.4e38. Without a step: the epoch, else the journal's number. "
        "A task's end is shown at the time of its delivery; its status reason has the true one.",
    )
    repeats_harmless = True
    batch_points = 5000
    takes_lines = True

    def initialize(self, config: Mapping[str, str]) -> None:
        self._failures = Failures(self.variables, config, is_permanent, refuses_batch)
        os.environ.update({one.name: config[one.name] for one in self.variables if config.get(one.name)})
        with self._failures.translated("opening ClearML"):
            from clearml.backend_api.session.client import APIClient
            from clearml.backend_api.session.client.client import StrictSession
            from clearml.config import ConfigWrapper

            # An answer of 503 is the delivery's to retry.
            ConfigWrapper.set_overrides({"api": {"http": {"wait_on_maintenance_forever": False}}})
            self._web = config.get("CLEARML_WEB_HOST", "").rstrip("/")
            self._session = lambda: StrictSession(http_retries_config={"total": 0})
            self._open = APIClient
            self._opened: Any = None

    @property
    def _client(self) -> Any:
        """Logs in when first used: until then a server may be away."""
        self._opened = self._opened or self._open(session=self._session())
        return self._opened

    def check(self) -> str:
        with self._failures.translated("asking ClearML for its version"):
            self._client.tasks.get_all(page=0, page_size=1, only_fields=["id"])
            return str(self._client.session.server_version or self._client.session.api_version)

    def create_experiment(self, job: JobFacts, state: State) -> str:
        tag = f"platform-job-{job.job_id}-{job.created:.3f}"
        with self._failures.translated("opening ClearML's task"):
            found = list(self._client.tasks.get_all(tags=[tag], only_fields=["id", "status"]))
            task_id = str(found[0].id if found else self._task(job, tag))
            if not found or str(found[0].status) == "created":  # else it was started, and may even have ended
                self._client.tasks.started(task=task_id)
            return task_id

    def _task(self, job: JobFacts, tag: str) -> str:
        project = self._project(f"{FOLDER.encode(job.organization)}/{FOLDER.encode(job.project)}")
        facts = {"name": job.name, "type": "training", "comment": job.url, "tags": [tag, *job.tags]}
        return str(self._client.tasks.create(project=project, **facts).id)

    def _project(self, name: str) -> str:
        for project in self._client.projects.get_all(name=f"^{re.escape(name)}$", only_fields=["id", "name"]):
            return str(project.id)
        return str(self._client.projects.create(name=name).id)

    def log_parameters(self, experiment_id: str, parameters: Mapping[str, Any], state: State) -> None:
        items = [{"section": "General", "name": key, "value": text_of(value)} for key, value in parameters.items()]
        with self._failures.translated("sending the settings to ClearML"):
            self._client.tasks.edit_hyper_params(task=experiment_id, hyperparams=items, force=True)

    def log_metrics(self, experiment_id: str, reports: Sequence[Report], state: State) -> None:
        with self._failures.translated("sending metrics to ClearML", batch=True):
            self._reopen(experiment_id, state)
            self._send([event for report in reports for event in scalars(experiment_id, report)])

    def log_lines(self, experiment_id: str, lines: Sequence[LogLine], state: State) -> None:
        with self._failures.translated("sending log lines to ClearML", batch=True):
            self._reopen(experiment_id, state)
            there = self._client.events.get_task_log(task=experiment_id, batch_size=1).total - state.get("lines", 0)
            self._send([line_event(experiment_id, line) for line in lines[max(0, there) :]])
            state["lines"] = state.get("lines", 0) + len(lines)

    def _reopen(self, experiment_id: str, state: State) -> None:
        if state.pop("ended", False):
            self._client.tasks.started(task=experiment_id, force=True)

    def _send(self, events: Sequence[Mapping[str, Any]]) -> None:
        if not events:
            return
        answer = self._client.events.add_batch(requests=list(events))
        if answer.errors:
            said = self._failures.hidden(f"ClearML refused {answer.errors} events: {answer.errors_info}")
            raise AdapterError(said, batch=True)

    def log_artifact(self, experiment_id: str, name: str, url: str, metadata: Mapping[str, Any], state: State) -> None:
        items = [{"key": key, "type": "str", "value": text_of(value)} for key, value in metadata.items()]
        with self._failures.translated("linking a model in ClearML"):
            named = {"task": [experiment_id], "name": f"^{re.escape(name)}$", "only_fields": ["id"]}
            found = list(self._client.models.get_all(**named))
            model = found[0].id if found else self._client.models.create(uri=url, name=name, task=experiment_id).id
            self._client.models.edit(model=model, uri=url, metadata=items)
            self._client.tasks.add_or_update_model(task=experiment_id, name=name, type="output", model=model)

    def get_metrics(self, experiment_id: str, names: Sequence[str]) -> dict[str, list[tuple[int, float, float]]]:
        with self._failures.translated("reading metrics from ClearML"):
            metrics = {group_split(name)[0] for name in names}
            events = [event for metric in metrics for event in self._events(experiment_id, metric)]
        return points_by_name(events, names)

    def _events(self, task: str, metric: str) -> Iterator[Mapping[str, Any]]:
        page = self._client.events.get_scalar_metric_data(task=task, metric=metric)
        while page.events:
            yield from page.events
            page = self._client.events.get_scalar_metric_data(task=task, metric=metric, scroll_id=page.scroll_id)

    def finalize(self, experiment_id: str, ending: Ending, state: State) -> None:
        said = text_cut(ending.error, LONGEST_MESSAGE)
        with self._failures.translated("closing ClearML's task"):
            tasks = self._client.tasks
            change = {"completed": tasks.completed, "failed": tasks.failed, "cancelled": tasks.stopped}[ending.status]
            # the server's own end time is that of this request, and can't be told otherwise
            ended = f"ended at {datetime.fromtimestamp(ending.time, UTC):%Y-%m-%dT%H:%M:%SZ}" if ending.time else ""
            change(task=experiment_id, force=True, status_message=said, status_reason=ended)
        state["ended"] = True

    def get_experiment_url(self, experiment_id: str) -> str:
        return f"{self._web}/projects/*/experiments/{experiment_id}" if self._web else ""
