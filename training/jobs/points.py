"""All points of a job as a table, a block of reports at a time: nothing grows with the length of the run."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.jobs.effective import attempt_limits, effective_mask
from training.journal.reader import Columns, Row, metric_lists, metric_rows
from training.models import JobAttempt

ROWS = 2000  # reports of one block, fewer where they have very many names
CELLS = 500_000
PLACES = ("seq", "attempt", "step", "epoch", "time")


@dataclass(frozen=True, slots=True)
class Points:
    """Some reports, in order. `columns.values` has a column for each name of the whole table; absent steps are -1.

    `present` is of the same shape: false where a report did not have that name.
    """

    columns: Columns
    present: NDArray[np.bool_]

    @property
    def cells(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """(row, name) of every value that there is, in order."""
        rows, names = np.nonzero(self.present)
        return rows, names


@dataclass(frozen=True, slots=True)
class PointTable:
    """The names that the table has, and where its blocks come from."""

    job_id: int
    names: tuple[str, ...]
    lists: dict[int, tuple[str, ...]]
    effective: bool

    def blocks(self) -> Iterator[Points]:
        """The reports in order, each block by a query of its own: nothing is held open in between."""
        limits = attempt_limits(list(JobAttempt.objects.filter(job_id=self.job_id))) if self.effective else {}
        size = max(1, min(ROWS, CELLS // max(1, len(self.names))))
        places = {key: self._places(names) for key, names in self.lists.items()}
        after = 0
        while rows := metric_rows(self.job_id, after, size):
            after = rows[-1][1]
            block = _block([row for row in rows if row[0] in places], self.names, places)
            if block is not None and limits:
                block = _only(block, effective_mask(block.columns, limits))
            if block is not None and block.present.any():
                yield block

    def _places(self, names: tuple[str, ...]) -> tuple[list[int], list[int]]:
        """Where the wanted names stand in a list, and which columns of the table they are."""
        wanted = {name: column for column, name in enumerate(self.names)}
        pairs = [(index, wanted[name]) for index, name in enumerate(names) if name in wanted]
        return [index for index, _ in pairs], [column for _, column in pairs]


def point_table(job_id: int, names: Collection[str] | None = None, *, effective: bool = True) -> PointTable:
    """The points of a job: of the names asked for or of all, without those that a later attempt replaced, or with."""
    lists = metric_lists(job_id)
    found = sorted({name for one in lists.values() for name in one})
    chosen = tuple(name for name in found if names is None or name in names)
    used = {key: one for key, one in lists.items() if not set(chosen).isdisjoint(one)}
    return PointTable(job_id, chosen, used, effective)


def _block(
    rows: Sequence[Row], names: tuple[str, ...], places: dict[int, tuple[list[int], list[int]]]
) -> Points | None:
    if not rows:
        return None
    values = np.full((len(rows), len(names)), np.nan)
    present = np.zeros(values.shape, np.bool_)
    for number, row in enumerate(rows):
        sources, targets = places[row[0]]
        values[number, targets] = np.frombuffer(bytes(row[6]), "<f8")[sources]
        present[number, targets] = True
    _, seq, attempt, step, epoch, time, _ = zip(*rows, strict=True)
    columns = Columns(
        names=names,
        seq=np.array(seq, np.int64),
        attempt=np.array(attempt, np.int64),
        step=_numbers(step),
        epoch=_numbers(epoch),
        time=np.array(time, np.float64),
        values=values,
    )
    return Points(columns, present)


def _numbers(values: Sequence[int | None]) -> NDArray[np.int64]:
    return np.array([-1 if value is None else value for value in values], np.int64)


def _only(points: Points, mask: NDArray[np.bool_]) -> Points:
    columns = points.columns
    kept = (getattr(columns, name)[mask] for name in (*PLACES, "values"))
    return Points(Columns(columns.names, *kept), points.present[mask])
