"""The database adapter's backend is the tests' own database."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from training.journal.reader import records_after
from training.models import MetricSummary


@contextmanager
def backend(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Nothing to start, no variable to set."""
    yield {}


def read(experiment_id: str, config: Mapping[str, str]) -> dict[str, list[tuple[int, float, float]]]:
    """(step, time, value) of each point, record by record; the summaries must count the same points."""
    points: dict[str, list[tuple[int, float, float]]] = {}
    for record in records_after(int(experiment_id), 0, 10_000):
        for name, value in zip(record.names, record.values, strict=True):
            points.setdefault(name, []).append((record.step or 0, record.time, value))
    counts = dict(MetricSummary.objects.filter(job=experiment_id).values_list("name", "count"))
    assert counts == {name: len(found) for name, found in points.items()}
    return points
