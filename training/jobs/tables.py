"""A job's points as CSV and JSON, long (a line per point) or wide (a line per report), a piece at a time."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

from training.jobs.points import PLACES, Points, PointTable
from training.jobs.series import strict, strict_dumps
from training.tables import cell

LONG, WIDE = "long", "wide"
PIECE = 1000  # lines that are written at a time

Line = list[Any]


def header(table: PointTable, layout: str) -> list[str]:
    """The titles of the columns; a metric that is called as a place gets `metric/` before its name."""
    if layout == WIDE:
        return [*PLACES, *(f"metric/{name}" if name in PLACES else name for name in table.names)]
    return ["name", *PLACES, "value"]


def lines(points: Points, layout: str) -> Iterator[Line]:
    """The lines of a block: places as whole numbers or None, values as floats, None where a report had none."""
    columns = points.columns
    places = list(zip(*(getattr(columns, name).tolist() for name in PLACES), strict=True))
    if layout == WIDE:
        for place, values, present in zip(places, columns.values.tolist(), points.present.tolist(), strict=True):
            yield [*_place(place), *(value if there else None for value, there in zip(values, present, strict=True))]
        return
    rows, names = points.cells
    found = columns.values[rows, names].tolist()
    for row, name, value in zip(rows.tolist(), names.tolist(), found, strict=True):
        yield [columns.names[name], *_place(places[row]), value]


def csv_pieces(table: PointTable, layout: str) -> Iterator[str]:
    """The table as CSV: NaN, Infinity and -Infinity as such, nothing where a report had no value."""
    yield _csv([[cell(title) for title in header(table, layout)]])
    for piece in _pieces(table, layout):
        yield _csv([[cell(one) if isinstance(one, str) else _native(one) for one in line] for line in piece])


def json_pieces(table: PointTable, layout: str) -> Iterator[str]:
    """`{"columns": […], "rows": [[…], …]}` as strict JSON: numbers that it can't hold are strings."""
    yield f'{{"columns":{json.dumps(header(table, layout))},"rows":['
    first = True
    for piece in _pieces(table, layout):
        texts = [strict_dumps([strict(one) if isinstance(one, float) else one for one in line]) for line in piece]
        yield ("" if first else ",") + ",".join(texts)
        first = False
    yield "]}"


def _place(place: Iterable[Any]) -> Line:
    """seq, attempt, step, epoch, time: a step or an epoch that there is not as None."""
    seq, attempt, step, epoch, time = place
    return [seq, attempt, None if step < 0 else step, None if epoch < 0 else epoch, time]


def _pieces(table: PointTable, layout: str) -> Iterator[list[Line]]:
    for block in table.blocks():
        piece: list[Line] = []
        for line in lines(block, layout):
            piece.append(line)
            if len(piece) == PIECE:
                yield piece
                piece = []
        if piece:
            yield piece


def _native(value: Any) -> Any:
    return strict(value) if isinstance(value, float) else value


def _csv(rows: list[Line]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()
