"""The same image is always in the same part, and the first of three levels decides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.datasets.split import SplitError, SplitShares, split_choose, split_own, split_shares

PATHS = st.lists(st.from_regex(r"images/[a-z0-9]{1,8}\.(png|jpg)", fullmatch=True), max_size=60, unique=True)
SEEDS = st.integers(0, 2**63 - 1)
HUNDRED = [f"images/{number}.png" for number in range(100)]


@st.composite
def shares(draw):
    val, test = draw(st.integers(1, 50)) / 100, draw(st.integers(0, 40)) / 100
    return SplitShares(1 - val - test, val, test, draw(SEEDS))


@given(PATHS, shares(), st.randoms())
def test_the_order_of_the_images_does_not_matter(paths, chosen, random):
    shuffled = random.sample(paths, len(paths))
    assert split_shares(paths, chosen) == split_shares(shuffled, chosen)


@given(PATHS, shares())
def test_every_image_has_one_part_and_the_counts_follow_the_shares(paths, chosen):
    parts = list(split_shares(paths, chosen).values())
    assert len(parts) == len(paths)
    assert abs(parts.count("val") - len(paths) * chosen.val) <= 1
    if len(paths) > 1:
        assert "train" in parts
        assert "val" in parts


@given(PATHS, shares())
def test_one_image_more_moves_few_others(paths, chosen):
    before, after = split_shares(paths, chosen), split_shares([*paths, "images/one-more.png"], chosen)
    assert sum(before[path] != after[path] for path in paths) <= 3


def test_another_seed_gives_another_split():
    first, second = (split_shares(HUNDRED, SplitShares(seed=seed)) for seed in (1, 2))
    assert first != second
    assert list(first.values()).count("val") == list(second.values()).count("val") == 20


def test_the_split_of_today_is_the_split_of_tomorrow():
    ten = [f"images/{number}.png" for number in range(10)]
    vals = [path for path, part in split_shares(ten, SplitShares(seed=7)).items() if part == "val"]
    assert vals == ["images/0.png", "images/4.png"]


def test_the_first_level_that_is_set_decides():
    paths = ["images/train/a.png", "images/val/b.png"]
    own = {"images/train": "train", "images/val": "val"}
    job = {"train": 0.5, "val": 0.5, "seed": 3}
    assert split_choose(paths, job, own) == (split_shares(paths, SplitShares(0.5, 0.5, 0, 3)), 3)
    assert split_choose(paths, None, own) == ({"images/train/a.png": "train", "images/val/b.png": "val"}, None)
    assert split_choose(HUNDRED, None, {})[1] == 0
    assert list(split_choose(HUNDRED)[0].values()).count("train") == 80


def test_the_nearest_folder_of_an_own_split_counts():
    own = {"images": "train", "images/hard": "test", "images/hard/x.png": "val"}
    paths = ["images/a.png", "images/hard/b.png", "images/hard/x.png", "other/c.png"]
    assert split_own(paths, own) == dict(zip(paths[:3], ("train", "test", "val"), strict=True))


@pytest.mark.parametrize(
    "config",
    [
        {"train": 0.8},
        {"train": 0.8, "val": 0.3},
        {"train": 1.0, "val": 0.0},
        {"train": 1.2, "val": -0.2},
        {"train": "0.8", "val": 0.2},
        {"train": float("nan"), "val": 0.2},
        {"train": True, "val": 0},
        {"train": 0.8, "val": 0.2, "seed": -1},
        {"train": 0.8, "val": 0.2, "seed": 1.5},
        {"train": 0.8, "val": 0.2, "seed": 2**63},
        {"train": 0.8, "val": 0.2, "validation": 0.1},
    ],
)
def test_a_split_that_can_not_be_trained_with_is_refused(config):
    with pytest.raises(SplitError):
        SplitShares.read(config)
