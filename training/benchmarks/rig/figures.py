"""Figures into a table and a line of JSON."""

import os
import platform
from statistics import median
from typing import Any

from rich.table import Table


def facts() -> dict[str, Any]:
    """What the figures were seen on."""
    return {"python": platform.python_version(), "cpus": os.cpu_count()}


def ratio(ours: list[float], theirs: list[float]) -> float:
    """The median of the ratios of interleaved pairs."""
    return median(one / other for one, other in zip(ours, theirs, strict=True))


def percentile(values: list[float], fraction: float) -> float:
    """The value below which this fraction of `values` lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * fraction))]


def shown(value: float) -> str:
    """A figure with about three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(title: str, *columns: str) -> Table:
    """A table whose first column names the row."""
    made = Table(columns[0], title=title, title_justify="left")
    for column in columns[1:]:
        made.add_column(column, justify="right")
    return made
