"""A program that sends the same points by calling a backend's SDK itself, and prints how long each run took.

Each SDK in its quickest documented way; the run is open, and the SDK warm, before the clock starts.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from observability.benchmarks.rig.points import Row, names, rows

Send = Callable[[Sequence[Row]], None]  # returns when the backend has them
Open = Callable[[int, tuple[str, ...]], Send]


def mlflow_open(number: int, metrics: tuple[str, ...]) -> Send:
    """`log_batch` with 1000 points, the most that it takes."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    run = client.create_run("0").info.run_id

    def send(told: Sequence[Row]) -> None:
        at_once = 1000 // len(metrics)
        for at in range(0, len(told), at_once):
            points = [
                Metric(name, value, round(row.time * 1000), row.step)
                for row in told[at : at + at_once]
                for name, value in zip(metrics, row.values, strict=True)
            ]
            client.log_batch(run, metrics=points)

    return send


def tensorboard_open(number: int, metrics: tuple[str, ...]) -> Send:
    """`EventFileWriter` with one event for each report."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(Path(os.environ["TENSORBOARD_LOG_DIR"], f"direct-{number}")))

    def send(told: Sequence[Row]) -> None:
        for row in told:
            event = Event(wall_time=row.time, step=row.step)
            for name, value in zip(metrics, row.values, strict=True):
                event.summary.value.add(tag=name, simple_value=value)
            writer.add_event(event)
        writer.close()

    return send


def wandb_open(number: int, metrics: tuple[str, ...]) -> Send:
    """`log` for each report, and `finish`, after which the file is whole."""
    import wandb

    folder = Path(os.environ["WANDB_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    quiet = wandb.Settings(console="off", silent=True, disable_git=True, save_code=False, x_disable_stats=True)
    run = wandb.init(project="direct", id=f"direct-{number}", mode="offline", dir=str(folder), settings=quiet)

    def send(told: Sequence[Row]) -> None:
        for row in told:
            run.log(dict(zip(metrics, row.values, strict=True)), step=row.step)
        run.finish()

    return send


def clearml_open(number: int, metrics: tuple[str, ...]) -> Send:
    """`events.add_batch` of the APIClient with 5000 events."""
    from clearml.backend_api.session.client import APIClient

    client = APIClient()
    project = client.projects.create(name=f"direct-{number}").id
    task = client.tasks.create(project=project, name="direct", type="training").id
    pairs = [name.split("/", 1) for name in metrics]

    def send(told: Sequence[Row]) -> None:
        at_once = 5000 // len(metrics)
        for at in range(0, len(told), at_once):
            events: list[dict[str, Any]] = [
                {
                    "type": "training_stats_scalar",
                    "task": task,
                    "iter": row.step,
                    "timestamp": round(row.time * 1000),
                    "metric": metric,
                    "variant": variant,
                    "value": value,
                }
                for row in told[at : at + at_once]
                for (metric, variant), value in zip(pairs, row.values, strict=True)
            ]
            client.events.add_batch(requests=events)

    return send


WAYS: dict[str, Open] = {
    "mlflow": mlflow_open,
    "tensorboard": tensorboard_open,
    "wandb": wandb_open,
    "clearml": clearml_open,
}


def main() -> None:
    """For each line of standard input: one run, and its seconds on standard output."""
    backend, reports, metrics = sys.argv[1], int(sys.argv[2]), names(int(sys.argv[3]))
    told = rows(reports + 1, len(metrics))[1:]
    answers = os.dup(1)
    os.dup2(2, 1)  # what an SDK prints is no answer
    for number, _ in enumerate(sys.stdin):
        send = WAYS[backend](number, metrics)
        begun = time.perf_counter()
        send(told)
        os.write(answers, f"{time.perf_counter() - begun}\n".encode())


if __name__ == "__main__":
    main()
