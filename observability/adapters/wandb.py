"""Weights & Biases: a run per job; offline as the files that `wandb sync` uploads, online through the SDK."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from observability.adapters._wandb_offline import Offline
from observability.adapters._wandb_online import Online
from observability.base import Adapter, AdapterError, Ending, JobFacts, Losses, Report, State, Variable
from observability.failures import Failures
from observability.names import NameMapping
from observability.steps import step_of

# Fields of W&B's own begin with `_`; step, epoch and attempt are fields of ours in each row.
NAMES = NameMapping(re.compile(r"^_|^s(?=tep\Z)|^e(?=poch\Z)|^a(?=ttempt\Z)"), "~")
PROJECT = NameMapping(re.compile(r"[^\w.\- ]"), "~", limit=128)
EXIT_CODES = {"completed": 0, "failed": 1, "cancelled": 255}
WAYS = {"offline": Offline, "online": Online}
PERMANENT = ("AuthenticationError", "UsageError", "PermissionError", "ModuleNotFoundError")


class WeightsAndBiases(Adapter):
    """W&B's own `_step` is the journal's number, which never goes back; our step is the field `step`, the charts' axis.

    Offline, the state holds the file's length, and what lies beyond is cut off before going on: exactly once.
    Online, W&B drops rows whose `_step` it already has.
    """

    name = "wandb"
    label = "Weights & Biases"
    variables = (
        Variable("WANDB_MODE", "offline or online; without it, online if there is a key"),
        Variable("WANDB_DIR", "Folder for the run files; on the host that delivers", required=True),
        Variable("WANDB_API_KEY", "Key for the online mode", secret=True),
        Variable("WANDB_PROJECT", "One project for all runs, instead of <organization>-<project>"),
        Variable("WANDB_ENTITY", "The team or user that owns the runs"),
        Variable("WANDB_BASE_URL", "Address of a self-hosted server"),
    )
    losses = Losses(notes="Without a step: the epoch, else the journal's number. Online, -0.0 becomes 0.")
    repeats_harmless = True
    batch_points = 20_000

    def initialize(self, config: Mapping[str, str]) -> None:
        self._failures = Failures(self.variables, config, _is_permanent)
        os.environ.update({one.name: config[one.name] for one in self.variables if config.get(one.name)})
        os.environ.pop("WANDB_API_KEY", None)  # it is in the settings; wandb-core can't hide its environment
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # of the SDK's own crashes, to its makers
        self._config = dict(config)
        self._mode = config.get("WANDB_MODE") or ("online" if config.get("WANDB_API_KEY") else "offline")
        if self._mode not in WAYS:
            raise AdapterError(f"WANDB_MODE must be offline or online, not {self._mode!r}.", permanent=True)
        with self._failures.translated("opening W&B"):
            self._root = Path(config["WANDB_DIR"])
            self._root.mkdir(parents=True, exist_ok=True)
            self._way = WAYS[self._mode](self._root, config)

    def check(self) -> str:
        with self._failures.translated("asking W&B"):
            import wandb

            if self._mode == "online":
                server = {"base_url": self._config["WANDB_BASE_URL"]} if self._config.get("WANDB_BASE_URL") else {}
                wandb.Api(server, timeout=15, api_key=self._config.get("WANDB_API_KEY")).viewer  # noqa: B018
        return f"{wandb.__version__} ({self._mode})"

    def create_experiment(self, job: JobFacts, state: State) -> str:
        project = PROJECT.encode(self._config.get("WANDB_PROJECT") or f"{job.organization}-{job.project}")
        run_id = f"job-{job.job_id}-{round(job.created * 1000)}"
        with self._failures.translated("opening W&B's run"):
            self._way.open(project, run_id, job, state)
        return f"{project}/{run_id}"

    def log_parameters(self, experiment_id: str, parameters: Mapping[str, Any], state: State) -> None:
        with self._failures.translated("sending the settings to W&B"):
            self._way.settings(*_parts(experiment_id), parameters, state)

    def log_metrics(self, experiment_id: str, reports: Sequence[Report], state: State) -> None:
        began = int(experiment_id.rpartition("-")[2]) / 1000
        with self._failures.translated("sending metrics to W&B"):
            self._way.rows(*_parts(experiment_id), [_row(report, began) for report in reports], state)

    def log_artifact(self, experiment_id: str, name: str, url: str, metadata: Mapping[str, Any], state: State) -> None:
        with self._failures.translated("linking an artifact in W&B"):
            self._way.summary(*_parts(experiment_id), {f"artifact.{name}": {"url": url, **metadata}}, state)

    def get_metrics(self, experiment_id: str, names: Sequence[str]) -> dict[str, list[tuple[int, float, float]]] | None:
        """None online: reading back through W&B's public API is not built."""
        if isinstance(self._way, Online):
            return None
        keys = {NAMES.encode(name): name for name in names}
        points: dict[str, list[tuple[int, float, float]]] = {name: [] for name in names}
        with self._failures.translated("reading metrics from W&B"):
            for row in self._way.history(*_parts(experiment_id)):
                for key in row.keys() & keys.keys():
                    points[keys[key]].append((row["step"], row["_timestamp"], row[key]))
        return points

    def finalize(self, experiment_id: str, ending: Ending, state: State) -> None:
        with self._failures.translated("closing W&B's run"):
            self._way.end(*_parts(experiment_id), EXIT_CODES[ending.status], ending.error, state)

    def get_experiment_url(self, experiment_id: str) -> str:
        site, entity = self._config.get("WANDB_BASE_URL") or "https://wandb.ai", self._config.get("WANDB_ENTITY")
        project, run_id = _parts(experiment_id)
        return f"{site.rstrip('/')}/{entity}/{project}/runs/{run_id}" if self._mode == "online" and entity else ""


def _parts(experiment_id: str) -> tuple[str, str]:
    project, _, run_id = experiment_id.rpartition("/")
    return project, run_id


def _row(report: Report, began: float) -> dict[str, Any]:
    row: dict[str, Any] = {"_step": report.seq, "_timestamp": report.time, "_runtime": report.time - began}
    row |= {"step": step_of(report), "attempt": report.attempt}
    row |= {"epoch": report.epoch} if report.epoch is not None else {}
    return row | {NAMES.encode(name): value for name, value in zip(report.names, report.values, strict=True)}


def _is_permanent(error: Exception) -> bool:
    return type(error).__name__ in PERMANENT or any(f"error {status}" in str(error) for status in (401, 403, 404))
