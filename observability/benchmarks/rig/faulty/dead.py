"""A backend whose process ends at every call."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from observability.base import Adapter, Ending, JobFacts, Report, State


class Dead(Adapter):
    name, label = "dead", "Dead"

    def initialize(self, config: Mapping[str, str]) -> None:
        """Nothing to open."""

    def create_experiment(self, job: JobFacts, state: State) -> str:
        os._exit(3)

    def log_parameters(self, experiment_id: str, parameters: Mapping[str, Any], state: State) -> None:
        """Never reached."""

    def log_metrics(self, experiment_id: str, reports: Sequence[Report], state: State) -> None:
        """Never reached."""

    def finalize(self, experiment_id: str, ending: Ending, state: State) -> None:
        """Never reached."""
