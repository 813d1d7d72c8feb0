"""The contract of an adapter: our code for one backend (tracking tool). One file in `adapters/` is all it takes.

An adapter runs in a process of its own, which the delivery worker starts, may
give up on and start again. It keeps no state between calls but what it can
find again in the backend or in the `State` that is handed to it: the delivery
stores that together with its cursor, in one transaction, after each call.
Retries, time limits and isolation are not an adapter's work.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

State = dict[str, Any]  # small, JSON; empty at first
REFUSED = (
    "refused"  # in a state: how many points or lines the backend will never take, as its losses say; people see it
)


class AdapterError(Exception):
    """A call that failed. Temporary ones are tried again later, permanent ones pause the delivery and say why.

    `batch`: the cause lies in what this call of log_metrics or log_lines holds, too much or something that is
    refused. It is sent again in halves, until the one item that is not taken pauses the delivery and is named.
    """

    def __init__(
        self, message: str, *, permanent: bool = False, retry_after: float | None = None, batch: bool = False
    ) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after = retry_after
        self.batch = batch


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable that an adapter reads; a secret one is never shown."""

    name: str
    help: str
    required: bool = False
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Losses:
    """What this backend can't hold; the contract's tests compare with the journal modulo exactly this."""

    float32: bool = False  # values are 32-bit
    merges_equal_points: bool = False  # same name, step, time and value is one point
    merges_equal_steps: bool = False  # one value for each name and step, the last
    drops_steps_back: bool = False  # a step lower than the last one is dropped
    clamps_infinity: bool = False  # ±Inf becomes the largest finite value
    drops_nonfinite: bool = False
    no_points: bool = False  # it holds none at all: it is for log lines or for the present state
    no_time: bool = False
    milliseconds: bool = False  # time is kept in whole milliseconds
    notes: str = ""


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What an adapter is told of a job. `created` is in seconds since 1970."""

    job_id: int
    name: str
    organization: str
    project: str
    experiment: str
    trainer: str
    task_type: str
    model_name: str
    dataset: str
    dataset_version_hash: str
    created: float
    created_by: str
    url: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """One metrics record of the journal: values in the order of names; step and epoch None where never told."""

    seq: int
    attempt: int
    time: float
    step: int | None
    epoch: int | None
    names: tuple[str, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class LogLine:
    seq: int
    time: float
    level: str
    source: str
    message: str


@dataclass(frozen=True, slots=True)
class Ending:
    """How a job ended: completed, failed or cancelled; the last finite value of each metric; the error's text.

    `time` is when, in seconds since 1970: the delivery may be days later.
    """

    status: str
    final_metrics: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
    time: float | None = None


class Adapter(ABC):
    """One backend. Imports its SDK in `initialize`, never at import: the web process reads these classes."""

    name: ClassVar[str]  # as in OBSERVABILITY_BACKENDS
    label: ClassVar[str]
    variables: ClassVar[tuple[Variable, ...]] = ()
    losses: ClassVar[Losses] = Losses()
    repeats_harmless: ClassVar[bool] = False  # the same call again changes nothing in the backend
    batch_points: ClassVar[int] = 1000  # the most points in one call of log_metrics
    takes_lines: ClassVar[bool] = False
    in_process: ClassVar[bool] = False  # only for what writes to the platform's own database

    @abstractmethod
    def initialize(self, config: Mapping[str, str]) -> None:
        """Import the SDK and open a client. `config` holds the values of `variables` that are set."""

    def check(self) -> str:
        """The backend's version, after asking it. Raises AdapterError when it can't be reached."""
        return ""

    @abstractmethod
    def create_experiment(self, job: JobFacts, state: State) -> str:
        """Find the backend's experiment (run, task …) for this job, or make it; its id. Again gives the same one."""

    @abstractmethod
    def log_parameters(self, experiment_id: str, parameters: Mapping[str, Any], state: State) -> None:
        """The job's settings, once, before the first metrics."""

    @abstractmethod
    def log_metrics(self, experiment_id: str, reports: Sequence[Report], state: State) -> None:
        """A batch of reports, in order, at most `batch_points` points. Returns when the backend has them."""

    def log_lines(self, experiment_id: str, lines: Sequence[LogLine], state: State) -> None:
        """Log lines, in order; called only where `takes_lines`."""

    def log_artifact(self, experiment_id: str, name: str, url: str, metadata: Mapping[str, Any], state: State) -> None:
        """A checkpoint or another artifact: linked by its address."""

    def get_metrics(self, experiment_id: str, names: Sequence[str]) -> dict[str, list[tuple[int, float, float]]] | None:
        """(step, time, value) of each point of these metrics, in order; None where the backend can't be read."""
        return None

    @abstractmethod
    def finalize(self, experiment_id: str, ending: Ending, state: State) -> None:
        """The job has ended. It may be resumed: later calls then continue in the same experiment."""

    def get_experiment_url(self, experiment_id: str) -> str:
        """Where people see it in the backend's web pages; empty where there are none."""
        return ""
