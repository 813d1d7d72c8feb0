"""Which image is for training, which for validation, which for testing: the same answer every time."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from django.utils.translation import gettext

from training.datasets.scan import SPLITS
from training.datasets.stratify import group_key, rank_by, stratified

MAX_SEED = 2**63 - 1
GROUP = re.compile(r"|folder|before:[^/\x00-\x1f]{1,8}")


class SplitError(ValueError):
    """Not a split that can be trained with; the message says why."""


@dataclass(frozen=True, slots=True)
class SplitShares:
    """A split by shares of the images, drawn by `seed`: of each class its share, where `stratify` says so.

    `group` tells which images stay together, as in `group_key`.
    """

    train: float = 0.8
    val: float = 0.2
    test: float = 0.0
    seed: int = 0
    stratify: bool = True
    group: str = ""

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> "SplitShares":
        """From a job's settings, such as {"train": 0.7, "val": 0.2, "test": 0.1, "seed": 3}; SplitError if wrong.

        What is left out of `val` and `test` is 0, of `seed` 0; `stratify` is true, `group` nothing.
        """
        unknown = sorted(set(config) - {*SPLITS, "seed", "stratify", "group"})
        if unknown:
            known = gettext("train, val, test, seed, stratify and group")
            raise SplitError(
                gettext("A split has %(known)s, not %(unknown)s.")
                % {"known": known, "unknown": ", ".join(map(repr, unknown))}
            )
        shares = {part: _share(part, config.get(part, 0.0)) for part in SPLITS}
        if abs(sum(shares.values()) - 1) > 1e-6 or not shares["train"] or not shares["val"]:
            raise SplitError(
                gettext("The shares of train, val and test must add up to 1, and train and val need some.")
            )
        seed = config.get("seed", 0)
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
            raise SplitError(gettext("The seed of a split must be a whole number from 0."))
        stratify, group = config.get("stratify", True), config.get("group", "")
        if not isinstance(stratify, bool):
            raise SplitError(gettext("Whether a split is stratified is true or false."))
        if not isinstance(group, str) or not GROUP.fullmatch(group):
            raise SplitError(
                gettext('Images are kept together by "folder", or by "before:_": their name up to that mark.')
            )
        return cls(**shares, seed=seed, stratify=stratify, group=group)


def split_choose(
    paths: Iterable[str],
    config: Mapping[str, Any] | None = None,
    own: Mapping[str, str] | None = None,
    classes: Mapping[str, Iterable[int]] | None = None,
) -> tuple[dict[str, str], int | None]:
    """Every image's part, and the seed if one was used. `classes` are those on each image, where they are known.

    The first that is set counts: the job's `config`, the dataset's `own`
    split, the default of 80 to 20.
    """
    if own and not config:
        return split_own(paths, own), None
    shares = SplitShares.read(config) if config else SplitShares()
    if shares.group or (shares.stratify and classes):
        known = classes if classes and shares.stratify else {}
        parts = {part: getattr(shares, part) for part in SPLITS}
        return stratified(paths, known, parts, rank_by(shares.seed), group_key(shares.group)), shares.seed
    return split_shares(paths, shares), shares.seed


def split_own(paths: Iterable[str], own: Mapping[str, str]) -> dict[str, str]:
    """The parts by `own`, which gives images or folders a part; the nearest counts, images in none are left out."""
    found: dict[str, str] = {}
    for path in paths:
        places = (path, *map(str, PurePosixPath(path).parents))
        part = next((own[place] for place in places if place in own), None)
        if part:
            found[path] = part
    return found


def split_shares(paths: Iterable[str], shares: SplitShares) -> dict[str, str]:
    """The parts by shares: images in the order of a hash of seed and path, cut where the shares say.

    So the order of `paths` does not matter, and one image more moves few
    others. Validation has at least one image, and training too, if there are two.
    """
    ordered = sorted(set(paths), key=lambda path: (_rank(shares.seed, path), path))
    count = len(ordered)
    tests = min(round(count * shares.test), max(0, count - 2))
    vals = min(max(1, round(count * shares.val)), max(0, count - tests - 1))
    names = ["val"] * vals + ["test"] * tests + ["train"] * (count - vals - tests)
    return dict(zip(ordered, names, strict=True))


def _rank(seed: int, path: str) -> bytes:
    """By the path without its ending: `a.jpg` and `a.png` share a label, and so a part."""
    return hashlib.sha256(f"{seed}:{path.rsplit('.', 1)[0]}".encode()).digest()


def _share(part: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise SplitError(gettext("The share of %(part)s must be a number from 0 to 1.") % {"part": part})
    return float(value)
