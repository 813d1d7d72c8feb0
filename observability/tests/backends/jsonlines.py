"""The example adapter's backend: a folder."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

readable = False  # the example can't read back what is there


@contextmanager
def backend(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment variables that reach it."""
    folder = tmp_path / "lines"
    folder.mkdir()
    yield {"JSONLINES_DIR": str(folder)}


def read(experiment_id: str, config: Mapping[str, str]) -> dict[str, list[tuple[int, float, float]]]:
    """(step, time, value) of each point by its name, in the order of the file."""
    points: dict[str, list[tuple[int, float, float]]] = {}
    lines = (Path(config["JSONLINES_DIR"]) / f"{experiment_id}.jsonl").read_text().splitlines()
    for row in map(json.loads, lines):
        for name, value in row.get("metrics", {}).items():
            points.setdefault(name, []).append((row["step"], row["time"], value))
    return points
