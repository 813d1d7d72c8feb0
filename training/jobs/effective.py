"""Which points of a job count: all but those that a later attempt replaced by resuming before them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.journal.reader import Columns
from training.models import JobAttempt


@dataclass(frozen=True, slots=True)
class Limit:
    """The last step and epoch of an attempt that still count; None where nothing limits them."""

    step: int | None = None
    epoch: int | None = None


def attempt_limits(attempts: Sequence[JobAttempt]) -> dict[int, Limit]:
    """For each attempt's number, how far its points count. A later attempt that resumed nowhere began anew."""
    limits: dict[int, Limit] = {}
    limit = Limit()
    for attempt in sorted(attempts, key=lambda one: one.number, reverse=True):
        limits[attempt.number] = limit
        step, epoch = attempt.resumed_step, attempt.resumed_epoch
        if step is None and epoch is None:
            step, epoch = -1, 0
        limit = Limit(_lower(limit.step, step), _lower(limit.epoch, epoch))
    return limits


def effective_mask(columns: Columns, limits: dict[int, Limit]) -> NDArray[np.bool_]:
    """True where a report counts: judged by its step, or by its epoch where it has or the limit knows no step."""
    mask = np.ones(len(columns.seq), np.bool_)
    for number, limit in limits.items():
        of_attempt = columns.attempt == number
        by_step = columns.step <= limit.step if limit.step is not None else np.ones_like(mask)
        by_epoch = columns.epoch <= limit.epoch if limit.epoch is not None else np.ones_like(mask)
        has_step = (columns.step >= 0) & (limit.step is not None)
        mask &= ~of_attempt | np.where(has_step, by_step, by_epoch)
    return mask


def _lower(one: int | None, other: int | None) -> int | None:
    known = [value for value in (one, other) if value is not None]
    return min(known) if known else None
