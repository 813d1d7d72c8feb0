"""TensorBoard's log folder, read with TensorBoard's own EventAccumulator."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


@contextmanager
def backend(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment variables that reach it."""
    yield {"TENSORBOARD_LOG_DIR": str(tmp_path / "events"), "TENSORBOARD_URL": "http://127.0.0.1:6006"}


def accumulator(experiment_id: str, config: Mapping[str, str]) -> EventAccumulator:
    """The run as TensorBoard loads it; every point is kept."""
    folder = Path(config["TENSORBOARD_LOG_DIR"]) / experiment_id
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()


def read(experiment_id: str, config: Mapping[str, str]) -> dict[str, list[tuple[int, float, float]]]:
    """(step, time, value) of each point by its tag, in the order of the files."""
    events = accumulator(experiment_id, config)
    return {
        tag: [(point.step, point.wall_time, point.value) for point in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }
