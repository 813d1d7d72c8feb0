"""Pictures that are the same, byte for byte or nearly: a leak where they are in several parts of the split.

Each picture is judged by 9 × 8 grey values and the 64 signs of their differences from left to right (a
difference hash, "dHash"). Two are nearly the same if at most 3 signs differ and the grey values hardly do.
Signs that differ in at most 3 places agree in one of four bands of 16, so only pictures of one band are compared,
and of a crowded band only neighbours: the cost grows with the number of pictures, not with its square.
"""

import hashlib
import os
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image

from training.datasets.images import FORMATS
from training.datasets.scan import Progress, ScannedImage

WIDTH, HEIGHT = 9, 8
BITS_APART, GREY_APART = 3, 4.0
RISE = 1  # a smaller step is noise, such as that of compressing
FLAT = 2.0  # a picture whose grey values deviate less tells nothing by its signs
NEIGHBOURS = 32  # compared in a crowded band
THREADS = 4
BLOCK = 512


@dataclass(frozen=True, slots=True)
class Look:
    """What a picture looks like, in 72 grey values; `signs` is None for one that is all of one colour."""

    grey: bytes
    signs: int | None
    size: int  # bytes of the file


@dataclass(frozen=True, slots=True)
class Copies:
    """Pictures that are the same, by their places in the list, in order; `exact` if all of them are byte for byte."""

    places: tuple[int, ...]
    exact: bool


def look_at(file: Path) -> Look:
    """Raises nearly anything for what is no picture; an import has judged it before."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(file, formats=FORMATS) as image:
            image.draft("L", (4 * WIDTH, 4 * HEIGHT))
            small = image.convert("L").resize((WIDTH, HEIGHT), Image.Resampling.BOX)
    values = np.asarray(small, dtype=np.int16)
    rising = (values[:, 1:] > values[:, :-1] + RISE).ravel()
    signs = int.from_bytes(np.packbits(rising).tobytes(), "big") if values.std() >= FLAT else None
    return Look(small.tobytes(), signs, file.stat().st_size)


def copies_find(images: Sequence[ScannedImage], progress: Progress | None = None) -> list[Copies]:
    """All groups of copies, those in several parts of the split first, then the largest."""
    looks = list(_looks([image.source for image in images], progress))
    exact = _exact(images, looks)
    first = {place: group[0] for group in exact for place in group}
    lone = [place for place in range(len(images)) if first.get(place, place) == place]
    groups = defaultdict(list)
    parents = _joined(lone, _near(lone, looks))
    for place in range(len(images)):
        groups[parents[first.get(place, place)]].append(place)
    same = {tuple(group) for group in exact}
    found = [Copies(tuple(group), tuple(group) in same) for group in groups.values() if len(group) > 1]
    return sorted(found, key=lambda one: (not leaks(one, images), -len(one.places), one.places))


def leaks(copies: Copies, images: Sequence[ScannedImage]) -> bool:
    """Whether they are in several parts of the split."""
    return len({images[place].split for place in copies.places}) > 1


def _looks(files: list[Path], progress: Progress | None) -> Iterator[Look]:
    """In blocks, so that little is queued; decoding runs beside itself, for Pillow lets other threads go on."""
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1), thread_name_prefix="looks") as pool:
        for start in range(0, len(files), BLOCK):
            if progress:
                progress("Comparing", start, len(files))
            yield from pool.map(look_at, files[start : start + BLOCK])


def _exact(images: Sequence[ScannedImage], looks: Sequence[Look]) -> list[list[int]]:
    """Groups of the same bytes; only files of one size and look are read for it."""
    alike = defaultdict(list)
    for place, look in enumerate(looks):
        alike[look.grey, look.size].append(place)
    found = defaultdict(list)
    for places in alike.values():
        for place in places if len(places) > 1 else ():
            with images[place].source.open("rb") as file:
                found[hashlib.file_digest(file, "sha256").digest()].append(place)
    return [places for places in found.values() if len(places) > 1]


def _near(places: Iterable[int], looks: Sequence[Look]) -> Iterator[tuple[int, int]]:
    """Pairs that are nearly the same."""
    bands: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for place in places:
        signs = looks[place].signs
        if signs is not None:
            for band in range(4):
                bands[band, (signs >> 16 * band) & 0xFFFF].append(place)
    for crowd in bands.values():
        yield from (pair for pair in _pairs(crowd, looks) if _alike(looks[pair[0]], looks[pair[1]]))


def _pairs(crowd: list[int], looks: Sequence[Look]) -> Iterator[tuple[int, int]]:
    """All pairs of a few; of many, those that stand close in the order of their signs."""
    if len(crowd) <= NEIGHBOURS:
        yield from combinations(crowd, 2)
        return
    ordered = sorted(crowd, key=lambda place: (looks[place].signs, looks[place].grey))
    for at, place in enumerate(ordered):
        yield from ((place, other) for other in ordered[at + 1 : at + NEIGHBOURS])


def _alike(one: Look, other: Look) -> bool:
    assert one.signs is not None and other.signs is not None
    if (one.signs ^ other.signs).bit_count() > BITS_APART:
        return False
    apart = np.frombuffer(one.grey, np.uint8).astype(np.int16) - np.frombuffer(other.grey, np.uint8)
    return float(np.abs(apart).mean()) <= GREY_APART


def _joined(places: Iterable[int], pairs: Iterable[tuple[int, int]]) -> dict[int, int]:
    """For each place the one that stands for its group (union and find)."""
    parents = {place: place for place in places}

    def root(place: int) -> int:
        while parents[place] != place:
            parents[place] = parents[parents[place]]
            place = parents[place]
        return place

    for one, other in pairs:
        first, second = sorted((root(one), root(other)))
        parents[second] = first
    return {place: root(place) for place in parents}
