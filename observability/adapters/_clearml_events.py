"""Reports and log lines as events of ClearML's server, and what its refusals mean."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from observability.base import LogLine, Report
from observability.names import group_joined, group_split
from observability.steps import step_of

LARGEST = 3.4028234663852886e38  # Elasticsearch's `float` refuses what is larger, and NaN and ±Inf
LEVELS = {"debug", "info", "warning", "error", "critical"}
PERMANENT = {400, 401, 403, 404}


def scalars(task: str, report: Report) -> Iterator[Mapping[str, Any]]:
    facts = {"type": "training_stats_scalar", "task": task, "iter": step_of(report)}
    facts["timestamp"] = round(report.time * 1000)
    for name, value in zip(report.names, report.values, strict=True):
        if math.isfinite(value) and abs(value) <= LARGEST:
            metric, variant = group_split(name)
            yield {**facts, "metric": metric, "variant": variant, "value": value}


def points_by_name(
    events: Iterable[Mapping[str, Any]], names: Sequence[str]
) -> dict[str, list[tuple[int, float, float]]]:
    """(step, time, value) of each event of these metrics, in the order of time."""
    points: dict[str, list[tuple[int, float, float]]] = {name: [] for name in names}
    for event in sorted(events, key=lambda event: (event["timestamp"], event["iter"])):
        point = (event["iter"], event["timestamp"] / 1000, event["value"])
        points.get(group_joined(event["metric"], event["variant"]), []).append(point)
    return points


def line_event(task: str, line: LogLine) -> Mapping[str, Any]:
    level = line.level.lower() if line.level.lower() in LEVELS else "notset"
    facts = {"type": "log", "task": task, "timestamp": round(line.time * 1000), "worker": line.source}
    return {**facts, "level": level, "msg": line.message}


def is_permanent(error: Exception) -> bool:
    refused = type(error).__name__ == "LoginError" and "error 401" in str(error)
    missing = isinstance(error, ImportError) or type(error).__name__ == "MissingConfigError"
    return refused or missing or getattr(error, "code", 0) in PERMANENT


def refuses_batch(error: Exception) -> bool:
    return getattr(error, "code", 0) in (400, 413)
