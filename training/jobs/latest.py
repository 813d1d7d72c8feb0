"""The latest, lowest and highest value of each metric of a job, kept up to date by reading only what is new."""

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from training.jobs.effective import attempt_limits, effective_mask
from training.journal.reader import Columns, metric_columns
from training.models import JobAttempt, TrainingJob

KEPT_JOBS = 500


@dataclass(slots=True)
class Latest:
    """One metric as tables show it; lowest and highest of its finite values, None while there is none."""

    name: str
    value: float
    step: int
    epoch: int
    time: float
    lowest: float | None = None
    highest: float | None = None

    @property
    def prefix(self) -> str:
        """`train` of `train/box_loss`; empty for a name without a slash."""
        return self.name.partition("/")[0] if "/" in self.name else ""

    @property
    def rest(self) -> str:
        return self.name.partition("/")[2] if "/" in self.name else self.name


@dataclass(slots=True)
class _Known:
    seq: int
    metrics: dict[str, Latest]


_known: OrderedDict[tuple[object, ...], _Known] = OrderedDict()
_lock = threading.Lock()


def metrics_latest(job: TrainingJob, attempts: Sequence[JobAttempt]) -> list[Latest]:
    """The metrics of `job` by name, from points that count only; costs what was recorded since the last call."""
    limits = attempt_limits(attempts)
    key = (job.pk, job.created_at, tuple((one.number, one.resumed_step, one.resumed_epoch) for one in attempts))
    with _lock:
        known = _known.pop(key, None) or _Known(0, {})
        for columns in metric_columns(job.pk, after=known.seq):
            known.seq = max(known.seq, int(columns.seq[-1]))
            _take(known.metrics, columns, effective_mask(columns, limits))
        _known[key] = known
        while len(_known) > KEPT_JOBS:
            _known.popitem(last=False)
        return [replace(known.metrics[name]) for name in sorted(known.metrics, key=_order)]


def _order(name: str) -> tuple[int, str]:
    """What people look for first: scores, then validation, then training."""
    prefixes = ("metrics/", "val/", "train/")
    return next((rank for rank, prefix in enumerate(prefixes) if name.startswith(prefix)), len(prefixes)), name


def _take(metrics: dict[str, Latest], columns: Columns, mask: np.ndarray) -> None:
    rows = np.flatnonzero(mask)
    if not len(rows):
        return
    last = rows[-1]
    for index, name in enumerate(columns.names):
        values = columns.values[rows, index]
        place = int(columns.step[last]), int(columns.epoch[last]), float(columns.time[last])
        new = Latest(name, float(values[-1]), *place)
        old = metrics.get(name)
        finite = values[np.isfinite(values)]
        seen = [*finite[:1], *([finite.min(), finite.max()] if len(finite) else [])]
        seen += [v for v in (old.lowest, old.highest) if v is not None] if old else []
        new.lowest, new.highest = (float(min(seen)), float(max(seen))) if seen else (None, None)
        if old is None or old.time <= new.time or math.isnan(old.time):
            metrics[name] = new
        else:
            old.lowest, old.highest = new.lowest, new.highest
