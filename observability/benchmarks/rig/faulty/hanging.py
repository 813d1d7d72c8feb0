"""A backend that never answers."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from observability.base import Adapter, Ending, JobFacts, Report, State


class Hanging(Adapter):
    name, label = "hanging", "Hanging"

    def initialize(self, config: Mapping[str, str]) -> None:
        """Nothing to open."""

    def create_experiment(self, job: JobFacts, state: State) -> str:
        while True:
            time.sleep(60)

    def log_parameters(self, experiment_id: str, parameters: Mapping[str, Any], state: State) -> None:
        """Never reached."""

    def log_metrics(self, experiment_id: str, reports: Sequence[Report], state: State) -> None:
        """Never reached."""

    def finalize(self, experiment_id: str, ending: Ending, state: State) -> None:
        """Never reached."""
