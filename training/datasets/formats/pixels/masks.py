"""Masks as COCO packs them (run lengths, column by column), and their outlines along the pixels' edges."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt

MAX_PIXELS = 89_478_485
Mask = npt.NDArray[np.bool_]  # height × width
Polygon = tuple[float, ...]
Corner = tuple[int, int]


class BadMask(ValueError):
    """Why it is no mask, as the end of a sentence."""


def counts_unpack(packed: str) -> list[int]:
    """The run lengths in COCO's compressed text: five bits a character, each from the third on a difference.

    The format is that of `rleFrString` in cocoapi's maskApi.c; done here because that trusts what it is given.
    """
    counts: list[int] = []
    place = 0
    while place < len(packed):
        value = shift = 0
        while True:
            if place == len(packed) or shift > 60:
                raise BadMask("the run lengths of a mask are cut short")
            bits = ord(packed[place]) - 48
            place += 1
            if not 0 <= bits < 64:
                raise BadMask("the run lengths of a mask hold a strange character")
            value |= (bits & 31) << shift
            shift += 5
            if not bits & 32:
                break
        if bits & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
    return counts


def mask_read(size: Sequence[int], counts: str | Sequence[int]) -> Mask:
    """The mask of an RLE with `size` [height, width]. Raises BadMask."""
    height, width = (int(value) for value in size)
    if not (height > 0 and width > 0 and height * width <= MAX_PIXELS):
        raise BadMask(f"a mask of {width} × {height} pixels is none")
    runs = np.asarray(
        counts_unpack(counts) if isinstance(counts, str) else [int(run) for run in counts], dtype=np.int64
    )
    if runs.size == 0 or runs.min() < 0 or runs.max() > height * width or int(runs.sum()) != height * width:
        raise BadMask("the run lengths of a mask do not fill it")
    values = np.arange(runs.size) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def mask_outlines(mask: Mask) -> list[Polygon]:
    """Closed outlines along the edges of the pixels, and of holes: filled by the even-odd rule, they are the mask."""
    following = _edges(mask)
    outlines = []
    while following:
        start = next(iter(following))
        corners, corner, before = [start], start, (0, 0)
        while True:
            ends = following[corner]
            end = ends.pop(_turn(corner, before, ends))
            if not ends:
                del following[corner]
            before = (end[0] - corner[0], end[1] - corner[1])
            if end == start:
                break
            corners.append(end)
            corner = end
        outlines.append(_straight(corners))
    return outlines


def polygons_join(polygons: Sequence[Polygon]) -> Polygon:
    """One polygon that covers what they cover: they hang together by bridges without width, there and back again."""
    first, *others = polygons
    joined: list[float] = list(first)
    for other in others:
        joined += (
            [*other, *other[:2], *first[:2]]
            if joined[-2:] == list(first[:2])
            else [*first[:2], *other, *other[:2], *first[:2]]
        )
    return tuple(joined)


def _edges(mask: Mask) -> dict[Corner, list[Corner]]:
    """From each corner to the next ones, with the mask always on the right hand (y points down)."""
    padded = np.pad(mask, 1)
    edges: dict[Corner, list[Corner]] = {}

    def add(where: Mask, start: Corner, end: Corner) -> None:
        rows, columns = np.nonzero(where)
        for y, x in zip(rows.tolist(), columns.tolist(), strict=True):
            edges.setdefault((x + start[0], y + start[1]), []).append((x + end[0], y + end[1]))

    inner = padded[1:-1, 1:-1]
    add(inner & ~padded[:-2, 1:-1], (0, 0), (1, 0))  # its upper edge
    add(inner & ~padded[1:-1, 2:], (1, 0), (1, 1))
    add(inner & ~padded[2:, 1:-1], (1, 1), (0, 1))
    add(inner & ~padded[1:-1, :-2], (0, 1), (0, 0))
    return edges


def _turn(corner: Corner, before: Corner, ends: list[Corner]) -> int:
    """Where two pixels touch at a corner only, turn right: each keeps an outline of its own."""
    right = (corner[0] - before[1], corner[1] + before[0])
    return ends.index(right) if len(ends) > 1 and right in ends else 0


def _straight(corners: list[Corner]) -> Polygon:
    """Without the corners at which the outline does not turn."""
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(corners, [*corners[1:], corners[0]], strict=True)]
    kept = [corner for place, corner in enumerate(corners) if steps[place] != steps[place - 1]]
    return tuple(float(value) for corner in kept for value in corner)


def counts_make(mask: Mask) -> list[int]:
    """The run lengths of a mask, not compressed: background first, column by column."""
    flat = mask.T.ravel().tolist()
    runs = [len(list(run)) for _, run in groupby(flat)]
    return [0, *runs] if flat and flat[0] else runs
