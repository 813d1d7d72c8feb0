"""The points that both sides of a comparison send. Knows no Django: programs that call an SDK directly use it too."""

import math
from dataclasses import dataclass

BEGIN = 1_760_000_000.0
TARGETS = ("mlflow", "tensorboard", "wandb", "clearml")


@dataclass(frozen=True, slots=True)
class Row:
    step: int
    time: float
    values: tuple[float, ...]


def names(metrics: int) -> tuple[str, ...]:
    return tuple(f"train/metric_{index:03d}" for index in range(metrics))


def rows(reports: int, metrics: int) -> list[Row]:
    """Reports of a run that learns: each value differs from all others, each time is a whole millisecond."""
    return [
        Row(step, BEGIN + step / 8, tuple(math.exp(-step / 500) + index + step / 7919 for index in range(metrics)))
        for step in range(1, reports + 1)
    ]
