"""Which image is for training, which for validation, which for testing: the same answer every time."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from training.datasets.scan import SPLITS

MAX_SEED = 2**63 - 1


class SplitError(ValueError):
    """Not a split that can be trained with; the message says why."""


@dataclass(frozen=True, slots=True)
class SplitShares:
    """A split by shares of the images, drawn by `seed`."""

    train: float = 0.8
    val: float = 0.2
    test: float = 0.0
    seed: int = 0

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> "SplitShares":
        """From a job's settings, such as {"train": 0.7, "val": 0.2, "test": 0.1, "seed": 3}; SplitError if wrong.

        What is left out of `val` and `test` is 0, of `seed` 0.
        """
        unknown = sorted(set(config) - {*SPLITS, "seed"})
        if unknown:
            raise SplitError(f"A split has train, val, test and seed, not {', '.join(map(repr, unknown))}.")
        shares = {part: _share(part, config.get(part, 0.0)) for part in SPLITS}
        if abs(sum(shares.values()) - 1) > 1e-6 or not shares["train"] or not shares["val"]:
            raise SplitError("The shares of train, val and test must add up to 1, and train and val need some.")
        seed = config.get("seed", 0)
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
            raise SplitError("The seed of a split must be a whole number from 0.")
        return cls(**shares, seed=seed)


def split_choose(
    paths: Iterable[str], config: Mapping[str, Any] | None = None, own: Mapping[str, str] | None = None
) -> tuple[dict[str, str], int | None]:
    """Every image's part, and the seed if one was used.

    The first that is set counts: the job's `config`, the dataset's `own`
    split, the default of 80 to 20.
    """
    if own and not config:
        return split_own(paths, own), None
    shares = SplitShares.read(config) if config else SplitShares()
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
        raise SplitError(f"The share of {part} must be a number from 0 to 1.")
    return float(value)
