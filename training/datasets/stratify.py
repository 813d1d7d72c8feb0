"""A split that gives each part its share of every class, and never parts what belongs together.

Greedy, after Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-Label Data" (2011): the rarest
class first, each unit to the part that wants most of that class. A unit is an image, or all images of a group.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from pathlib import PurePosixPath

MILLION = 1_000_000
NO_CLASS = -1  # what images without objects are counted as: they are spread as well


@dataclass(slots=True)
class Unit:
    """Images that stay together; `counts` tells on how many of them each class is."""

    key: str
    paths: list[str] = field(default_factory=list)
    counts: dict[int, int] = field(default_factory=dict)


def stratified(
    paths: Iterable[str],
    classes: Mapping[str, Iterable[int]],
    shares: Mapping[str, float],
    rank: Callable[[str], bytes],
    group: Callable[[str], str],
) -> dict[str, str]:
    """Every image's part. `rank` orders units, by their keys; `group` tells what an image belongs to.

    The order of `paths` does not matter. Training and validation have at least one unit, if there are two.
    """
    units = _units(paths, classes, group)
    units.sort(key=lambda one: (rank(one.key), one.key))
    wanting = _Wanting(units, {part: share for part, share in shares.items() if share > 0})
    by_class: defaultdict[int, list[Unit]] = defaultdict(list)
    for unit in units:
        for number in unit.counts:
            by_class[number].append(unit)
    left = {number: len(found) for number, found in by_class.items()}
    heap = [(count, number) for number, count in left.items()]
    heapify(heap)
    chosen: dict[str, str] = {}
    while heap:
        count, number = heappop(heap)
        if count != left[number]:  # some of it went with a rarer class
            heappush(heap, (left[number], number))
            continue
        for unit in by_class[number]:
            if unit.key not in chosen:
                chosen[unit.key] = wanting.take(unit, number)
                for other in unit.counts:
                    left[other] -= 1
    _none_empty(units, chosen, wanting.parts)
    return {path: chosen[unit.key] for unit in units for path in unit.paths}


class _Wanting:
    """How many images of each class every part still wants, and how many in all, in millionths."""

    def __init__(self, units: list[Unit], shares: Mapping[str, float]) -> None:
        every: Counter[int] = Counter()
        for unit in units:
            for number, count in unit.counts.items():
                every[number] += count
        total = sum(len(unit.paths) for unit in units)
        self.parts = list(shares)
        whole = {part: round(share * MILLION) for part, share in shares.items()}
        self.classes = [{number: share * n for number, n in every.items()} for share in whole.values()]
        self.images = [share * total for share in whole.values()]

    def take(self, unit: Unit, number: int) -> str:
        """The part that wants it most; it wants less then."""
        best = 0
        for place in range(1, len(self.parts)):
            mine, others = self.classes[place][number], self.classes[best][number]
            if mine > others or (mine == others and self.images[place] > self.images[best]):
                best = place
        wanted = self.classes[best]
        for other, count in unit.counts.items():
            wanted[other] -= count * MILLION
        self.images[best] -= len(unit.paths) * MILLION
        return self.parts[best]


def _units(paths: Iterable[str], classes: Mapping[str, Iterable[int]], group: Callable[[str], str]) -> list[Unit]:
    found: dict[str, Unit] = {}
    for path in sorted(set(paths)):
        key = group(path)
        unit = found.get(key) or found.setdefault(key, Unit(key))
        unit.paths.append(path)
        for number in set(classes.get(path, ())) or (NO_CLASS,):
            unit.counts[number] = unit.counts.get(number, 0) + 1
    return list(found.values())


def _none_empty(units: list[Unit], chosen: dict[str, str], parts: list[str]) -> None:
    """Nothing is trained without images for training, or chosen without some for validation."""
    for part in ("train", "val"):
        if part in parts and part not in chosen.values():
            sizes = Counter(chosen.values())
            spare = [unit for unit in units if sizes[chosen[unit.key]] > 1 or chosen[unit.key] == "test"]
            if spare:
                chosen[min(spare, key=lambda one: len(one.paths)).key] = part


def group_key(kind: str) -> Callable[[str], str]:
    """What an image belongs to: "folder", its folder; "before:_", its name up to the first such mark; "", itself.

    Images that share a label file belong together always.
    """
    if kind == "folder":
        return lambda path: str(PurePosixPath(path).parent)
    if kind.startswith("before:"):
        mark = kind.removeprefix("before:")
        return lambda path: PurePosixPath(path).stem.split(mark, 1)[0] or path
    return lambda path: path.rsplit(".", 1)[0]


def rank_by(seed: int) -> Callable[[str], bytes]:
    """An order drawn by a seed."""
    return lambda key: hashlib.sha256(f"{seed}:{key}".encode()).digest()
