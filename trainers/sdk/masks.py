"""COCO's masks of run lengths, column by column, turned into outlines along the edges of their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

MAX_PIXELS = 89_478_485  # what the platform's own imports take
Corner = tuple[int, int]


def rle_outlines(told: dict[str, Any]) -> list[list[float]]:
    """The outlines x1, y1, x2, y2, … of an RLE, and of its holes: filled by the even-odd rule, they are the mask.

    `told` has `size` [height, width] and `counts`, a list or COCO's compressed text. Raises ValueError.
    """
    height, width = (int(value) for value in told["size"])
    counts = told["counts"]
    if not (height > 0 and width > 0 and height * width <= MAX_PIXELS):
        raise ValueError(f"a mask of {width} × {height} pixels is none")
    runs = np.asarray(_unpacked(counts) if isinstance(counts, str) else [int(run) for run in counts], dtype=np.int64)
    if not runs.size or runs.min() < 0 or runs.max() > height * width or int(runs.sum()) != height * width:
        raise ValueError("the run lengths of a mask do not fill it")
    mask = np.repeat(np.arange(runs.size) % 2 == 1, runs).reshape(width, height).T
    return [[float(value) for corner in outline for value in corner] for outline in _outlines(_edges(mask))]


def _unpacked(packed: str) -> list[int]:
    """Five bits a character, least first; from the third number on the difference to the one before the last."""
    counts: list[int] = []
    value = shift = 0
    for character in packed:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError("the run lengths of a mask hold a strange character")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            counts.append(value + counts[-2] if len(counts) > 2 else value)
            value = shift = 0
    if shift:
        raise ValueError("the run lengths of a mask are cut short")
    return counts


def _edges(mask: Any) -> dict[Corner, list[Corner]]:
    """From each corner to the next ones, with the mask always on the right hand (y points down)."""
    padded = np.pad(mask, 1)
    inner = padded[1:-1, 1:-1]
    sides = (
        (inner & ~padded[:-2, 1:-1], (0, 0), (1, 0)),  # its upper edge
        (inner & ~padded[1:-1, 2:], (1, 0), (1, 1)),
        (inner & ~padded[2:, 1:-1], (1, 1), (0, 1)),
        (inner & ~padded[1:-1, :-2], (0, 1), (0, 0)),
    )
    edges: dict[Corner, list[Corner]] = {}
    for where, (left, top), (right, bottom) in sides:
        rows, columns = np.nonzero(where)
        for y, x in zip(rows.tolist(), columns.tolist(), strict=True):
            edges.setdefault((x + left, y + top), []).append((x + right, y + bottom))
    return edges


def _outlines(following: dict[Corner, list[Corner]]) -> list[Sequence[Corner]]:
    """The edges joined to closed lines; where two pixels touch at a corner only, each keeps a line of its own."""
    found: list[Sequence[Corner]] = []
    while following:
        start = corner = next(iter(following))
        corners, step = [start], (0, 0)
        while True:
            ends = following[corner]
            right = (corner[0] - step[1], corner[1] + step[0])
            end = ends.pop(ends.index(right) if len(ends) > 1 and right in ends else 0)
            if not ends:
                del following[corner]
            step = (end[0] - corner[0], end[1] - corner[1])
            if end == start:
                break
            corners.append(end)
            corner = end
        found.append(_straight(corners))
    return found


def _straight(corners: list[Corner]) -> list[Corner]:
    """Without the corners at which the line does not turn."""
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(corners, [*corners[1:], corners[0]], strict=True)]
    return [corner for place, corner in enumerate(corners) if steps[place] != steps[place - 1]]
