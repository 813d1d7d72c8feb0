"""TensorBoard: event files under `TENSORBOARD_LOG_DIR/<organization>/<project>/<job>`, one for each attempt."""

import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from observability.base import Adapter, Ending, JobFacts, Losses, Report, State, Variable
from observability.failures import Failures
from observability.lengths import file_cut, file_grown
from observability.names import FOLDER
from observability.steps import step_of
from observability.texts import text_of
from observability.tfrecords import record

FILE = "events.out.tfevents.{:010}.platform"  # 0 holds the settings; in this order TensorBoard reads them
STATUSES = {"completed": "STATUS_SUCCESS", "failed": "STATUS_FAILURE"}


class TensorBoard(Adapter):
    """Exactly once: the state holds each file's length, and whatever lies beyond is cut off before anything is written.

    Records are TFRecords, one `Event` for each report, synced to disk before a call returns.
    """

    name = "tensorboard"
    label = "TensorBoard"
    variables = (
        Variable("TENSORBOARD_LOG_DIR", "Folder that TensorBoard reads; on the host that delivers", required=True),
        Variable("TENSORBOARD_URL", "Where TensorBoard's pages are, for the links"),
    )
    losses = Losses(
        float32=True, notes="Beyond ±3.4e38 a value is ±Inf. Without a step: the epoch, else the journal's number."
    )
    repeats_harmless = True
    batch_points = 10_000

    def initialize(self, config: Mapping[str, str]) -> None:
        self._failures = Failures(self.variables, config, _is_permanent)
        with self._failures.translated("opening TensorBoard"):
            from tensorboard.compat.proto import event_pb2

            self._event = event_pb2.Event
            self._root = Path(config["TENSORBOARD_LOG_DIR"])
            self._url = config.get("TENSORBOARD_URL", "").rstrip("/")

    def check(self) -> str:
        from tensorboard.version import VERSION

        with self._failures.translated("writing into TENSORBOARD_LOG_DIR"):
            self._root.mkdir(parents=True, exist_ok=True)
            trial = self._root / f".check-{os.getpid()}"
            trial.touch()
            trial.unlink()
        return str(VERSION)

    def create_experiment(self, job: JobFacts, state: State) -> str:
        """With the time of its making: another platform, or one begun anew, has the same numbers."""
        made = datetime.fromtimestamp(job.created, UTC)
        return f"{FOLDER.encode(job.organization)}/{FOLDER.encode(job.project)}/job-{job.job_id}-{made:%Y%m%d-%H%M%S}"

    def log_parameters(self, experiment_id: str, parameters: Mapping[str, Any], state: State) -> None:
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb

        known = {
            key: value if isinstance(value, (bool, int, float, str)) else text_of(value)
            for key, value in parameters.items()
        }
        with self._failures.translated("writing TensorBoard's settings"):
            now = time.time()
            summary = hparams_pb(known, trial_id=experiment_id, start_time_secs=now)
            self._append(experiment_id, 0, [self._event(wall_time=now, summary=summary)], state)

    def log_metrics(self, experiment_id: str, reports: Sequence[Report], state: State) -> None:
        with self._failures.translated("writing TensorBoard's events"):
            for attempt in sorted({report.attempt for report in reports}):
                events = (self._scalars(report) for report in reports if report.attempt == attempt)
                self._append(experiment_id, attempt, events, state)

    def _scalars(self, report: Report) -> Any:
        event = self._event(wall_time=report.time, step=step_of(report))
        for name, value in zip(report.names, report.values, strict=True):
            event.summary.value.add(tag=name, simple_value=value)
        return event

    def log_artifact(self, experiment_id: str, name: str, url: str, metadata: Mapping[str, Any], state: State) -> None:
        from tensorboard.plugins.text.metadata import create_summary_metadata

        text = f"[{name}]({url})\n\n    {text_of(metadata)}".encode()
        with self._failures.translated("writing TensorBoard's text"):
            event = self._event(wall_time=time.time())
            value = event.summary.value.add(tag=f"artifacts/{name}", metadata=create_summary_metadata("", ""))
            value.tensor.dtype = 7  # DT_STRING
            value.tensor.string_val.append(text)
            self._append(experiment_id, _newest(state), [event], state)

    def finalize(self, experiment_id: str, ending: Ending, state: State) -> None:
        """The end lies beyond the lengths in the state: when the job goes on, or ends again, it is cut off."""
        from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

        with self._failures.translated("writing TensorBoard's end"):
            now = ending.time or time.time()
            status = api_pb2.Status.Value(STATUSES.get(ending.status, "STATUS_UNKNOWN"))
            end = plugin_data_pb2.HParamsPluginData(session_end_info={"status": status, "end_time_secs": now})
            event = self._event(wall_time=now)
            event.summary.value.add(
                tag=metadata.SESSION_END_INFO_TAG,
                metadata=metadata.create_summary_metadata(end),
                tensor=metadata.NULL_TENSOR,
            )
            self._append(experiment_id, _newest(state), [event], {"files": dict(state.get("files", {}))})

    def _append(self, experiment_id: str, number: int, events: Iterable[Any], state: State) -> None:
        lengths: dict[str, int] = state.setdefault("files", {})
        folder, name = self._root / experiment_id, FILE.format(number)
        for known, length in lengths.items():
            file_cut(folder / known, length)
        with file_grown(folder / name, lengths.get(name, 0)) as file:
            if not file.tell():
                file.write(record(self._event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString()))
            for event in events:
                file.write(record(event.SerializeToString()))
            grown = file.tell()
        lengths[name] = grown

    def get_metrics(self, experiment_id: str, names: Sequence[str]) -> dict[str, list[tuple[int, float, float]]]:
        points: dict[str, list[tuple[int, float, float]]] = {name: [] for name in names}
        with self._failures.translated("reading TensorBoard's events"):
            for event in self._events(experiment_id):
                for value in event.summary.value:
                    if value.tag in points and value.HasField("simple_value"):
                        points[value.tag].append((event.step, event.wall_time, value.simple_value))
        return points

    def _events(self, experiment_id: str) -> Iterator[Any]:
        from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader

        for path in sorted((self._root / experiment_id).glob("events.out.tfevents.*")):
            yield from map(self._event.FromString, RawEventFileLoader(str(path)).Load())

    def get_experiment_url(self, experiment_id: str) -> str:
        return f"{self._url}/?runFilter={quote(f'^{re.escape(experiment_id)}$', safe='')}" if self._url else ""


def _newest(state: State) -> int:
    return max((int(name.split(".")[3]) for name in state.get("files", {})), default=0)


def _is_permanent(error: Exception) -> bool:
    return isinstance(error, (ImportError, KeyError, PermissionError, NotADirectoryError))
