"""The platform's own database: the journal stores the points, this keeps each metric's summary and its roll-ups."""

from collections.abc import Mapping, Sequence
from typing import Any

from observability.base import Adapter, Ending, JobFacts, LogLine, Losses, Report, State


class Database(Adapter):
    """Always on. The reports that it is handed only wake it: summaries and roll-ups have cursors of their own."""

    name = "database"
    label = "Database"
    losses = Losses(notes="Nothing is lost: the journal is its store.")
    repeats_harmless = True
    batch_points = 100_000
    in_process = True

    def initialize(self, config: Mapping[str, str]) -> None:
        """Nothing to open: Django has the connection."""

    def check(self) -> str:
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("SELECT version()" if connection.vendor == "postgresql" else "SELECT sqlite_version()")
            return f"{connection.display_name} {cursor.fetchone()[0]}".replace("PostgreSQL PostgreSQL", "PostgreSQL")

    def create_experiment(self, job: JobFacts, state: State) -> str:
        return str(job.job_id)

    def log_parameters(self, experiment_id: str, parameters: Mapping[str, Any], state: State) -> None:
        """The job has its settings."""

    def log_metrics(self, experiment_id: str, reports: Sequence[Report], state: State) -> None:
        self._update(experiment_id)

    def log_lines(self, experiment_id: str, lines: Sequence[LogLine], state: State) -> None:
        """The journal has its lines."""

    def get_metrics(self, experiment_id: str, names: Sequence[str]) -> dict[str, list[tuple[int, float, float]]]:
        from training.journal.reader import metric_columns

        rows = [
            (int(seq), name, (int(step), float(time), float(value)))
            for columns in metric_columns(int(experiment_id), names)
            for index, name in enumerate(columns.names)
            if name in names
            for seq, step, time, value in zip(
                columns.seq, columns.step, columns.time, columns.values[:, index], strict=True
            )
        ]
        found: dict[str, list[tuple[int, float, float]]] = {name: [] for name in names}
        for _, name, point in sorted(rows, key=lambda row: row[0]):
            found[name].append(point)
        return found

    def finalize(self, experiment_id: str, ending: Ending, state: State) -> None:
        self._update(experiment_id)

    def get_experiment_url(self, experiment_id: str) -> str:
        from django.conf import settings
        from django.urls import reverse

        return f"{settings.SITE_URL}{reverse('job-page', args=[experiment_id])}"

    def _update(self, experiment_id: str) -> None:
        from observability.summary import summary_update
        from training.journal.rollup import rollup_update
        from training.models import TrainingJob

        summary_update(TrainingJob.objects.get(pk=experiment_id))
        rollup_update(int(experiment_id))
