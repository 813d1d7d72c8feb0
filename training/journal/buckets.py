"""Buckets: what is kept of many points in one place of a chart, and how they are made and merged.

Lowest and highest are exact, so no spike disappears; what is not a finite
number is counted by kind and enters neither them nor the sum.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.journal.reader import Columns

BUCKET = np.dtype(
    [
        ("count", "<u4"),  # finite values
        ("nan", "<u4"),
        ("positive", "<u4"),  # +Inf
        ("negative", "<u4"),  # -Inf
        ("low", "<f8"),
        ("high", "<f8"),
        ("sum", "<f8"),
        ("low_step", "<i8"),  # -1 where reports have none, as in `Columns`
        ("high_step", "<i8"),
        ("low_epoch", "<i4"),
        ("high_epoch", "<i4"),
        ("low_time", "<f8"),
        ("high_time", "<f8"),
    ]
)
COUNTS = ("count", "nan", "positive", "negative")
Buckets = NDArray[np.void]
Places = NDArray[np.int64]
MERGES: dict[str, Any] = {
    name: np.add if name in (*COUNTS, "sum") else np.minimum if name.startswith("low") else np.maximum
    for name in BUCKET.names or ()
}


def buckets_empty(count: int) -> Buckets:
    """Buckets that change nothing when they are merged with others."""
    made = np.zeros(count, BUCKET)
    for name, merge in MERGES.items():
        if merge is not np.add:
            made[name] = _neutral(BUCKET[name], merge is np.minimum)
    return made


def _neutral(kind: np.dtype[Any], least: bool) -> float:
    """What the least, or the greatest, of a number and this is: the number."""
    if kind.kind == "f":
        return np.inf if least else -np.inf
    limits = np.iinfo(kind)
    return limits.max if least else limits.min


def buckets_fold(buckets: Buckets, places: Places) -> tuple[Places, Buckets]:
    """Merge buckets that fall into the same place; the places in order, and one bucket for each."""
    order = np.argsort(places, kind="stable")
    found, starts = np.unique(places[order], return_index=True)
    folded = np.empty(len(found), BUCKET)
    with np.errstate(invalid="ignore", over="ignore"):
        for name, merge in MERGES.items():
            folded[name] = merge.reduceat(buckets[name][order], starts) if len(found) else 0
    return found, folded


def buckets_of(columns: Columns, rows: NDArray[np.intp], places: Places, index: int) -> tuple[Places, Buckets]:
    """The points of metric number `index` in some rows, merged by the place of each row."""
    values = columns.values[rows, index]
    finite = np.isfinite(values)
    points = np.empty(len(rows), BUCKET)
    points["count"], points["nan"] = finite, np.isnan(values)
    points["positive"], points["negative"] = np.isposinf(values), np.isneginf(values)
    points["low"], points["high"] = np.where(finite, values, np.inf), np.where(finite, values, -np.inf)
    points["sum"] = np.where(finite, values, 0.0)
    for name in ("step", "epoch", "time"):
        points[f"low_{name}"] = points[f"high_{name}"] = getattr(columns, name)[rows]
    return buckets_fold(points, places)
