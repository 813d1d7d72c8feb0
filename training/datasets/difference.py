"""What differs between two snapshots: files, parts of the split, classes, and how many objects of each."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from training.datasets.pictures import Picture, pictures_by_path
from training.datasets.snapshot import snapshot_manifest
from training.models import DatasetSnapshot

SHOWN = 200
PICTURES = 12


@dataclass(frozen=True, slots=True)
class Changes:
    """Files of one kind of change: how many there are, the first of them, and pictures of some."""

    count: int
    paths: list[str]
    pictures: list[Picture]


@dataclass(frozen=True, slots=True)
class ClassChange:
    """A class with its objects before and after; None in a snapshot that does not have it."""

    name: str
    before: int | None
    after: int | None

    @property
    def change(self) -> int:
        return (self.after or 0) - (self.before or 0)


@dataclass(frozen=True, slots=True)
class Difference:
    """From one snapshot to another."""

    added: Changes
    removed: Changes
    changed: Changes
    moved: Changes
    classes: list[ClassChange]

    @property
    def same(self) -> bool:
        counts = (one.count for one in (self.added, self.removed, self.changed, self.moved))
        return not any(counts) and all(one.before == one.after for one in self.classes)


def snapshot_difference(before: DatasetSnapshot, after: DatasetSnapshot) -> Difference:
    """What `after` has otherwise than `before`; a file is the same if size and checksum are.

    Snapshots of before images had checksums tell them by their sizes alone.
    Objects are counted by the labels as the datasets have them.
    """
    first, second = snapshot_manifest(before), snapshot_manifest(after)
    old, new = ({file["path"]: file for file in manifest["files"]} for manifest in (first, second))
    there, here = pictures_by_path(before.dataset), pictures_by_path(after.dataset)
    both = old.keys() & new.keys()
    changed = [path for path in both if _differ(old[path], new[path])]
    moved = [path for path in both if old[path]["split"] != new[path]["split"] and old[path]["role"] == "image"]
    return Difference(
        added=_changes(new.keys() - old.keys(), here),
        removed=_changes(old.keys() - new.keys(), there),
        changed=_changes(changed, here),
        moved=_changes(moved, here),
        classes=_classes(first, second, there, here),
    )


def _differ(one: dict[str, Any], other: dict[str, Any]) -> bool:
    sums = {one["sha256"], other["sha256"]} - {None}
    return one["size"] != other["size"] or len(sums) > 1


def _changes(paths: Any, pictures: dict[str, Picture]) -> Changes:
    ordered = sorted(paths)
    shown = [pictures[path] for path in ordered if path in pictures]
    return Changes(len(ordered), ordered[:SHOWN], shown[:PICTURES])


def _classes(
    first: dict[str, Any], second: dict[str, Any], there: dict[str, Picture], here: dict[str, Picture]
) -> list[ClassChange]:
    """By their names: those of `after` in their order, then those that are gone."""
    before, after = _counts(first, there), _counts(second, here)
    names = list(dict.fromkeys([*second["classes"], *first["classes"]]))
    return [ClassChange(name, before.get(name), after.get(name)) for name in names]


def _counts(manifest: dict[str, Any], pictures: dict[str, Picture]) -> dict[str, int]:
    found: Counter[int] = Counter()
    for file in manifest["files"]:
        if file["role"] == "image" and file["path"] in pictures:
            found.update(pictures[file["path"]].classes)
    counts: dict[str, int] = {}
    for number, name in enumerate(manifest["classes"]):  # two classes may have one name
        counts[name] = counts.get(name, 0) + found[number]
    return counts
