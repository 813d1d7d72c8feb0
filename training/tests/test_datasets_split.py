"""The same image is always in the same part, and the first of three levels decides."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.datasets.split import SplitError, SplitShares, split_choose, split_own, split_shares
from training.datasets.stratify import group_key

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


@st.composite
def pictures(draw):
    """Images with the classes on them, in some folders."""
    return draw(
        st.dictionaries(
            st.from_regex(r"images/[ab]/[a-d]_[0-9]{1,4}\.(png|jpg)", fullmatch=True),
            st.lists(st.integers(0, 4), max_size=3),
            max_size=60,
        )
    )


def config_of(chosen, **words):
    return {"train": chosen.train, "val": chosen.val, "test": chosen.test, "seed": chosen.seed, **words}


@settings(max_examples=60, deadline=None)
@given(pictures(), shares(), st.sampled_from(["", "folder", "before:_"]), st.randoms())
def test_a_stratified_split_is_whole_keeps_groups_and_minds_no_order(found, chosen, group, random):
    config = config_of(chosen, group=group)
    parts, seed = split_choose(found, config, None, found)
    shuffled = random.sample(sorted(found), len(found))
    assert split_choose(shuffled, config, None, dict(reversed(found.items()))) == (parts, seed)
    assert set(parts) == set(found) and seed == chosen.seed
    key = group_key(group)
    units = {}
    for path, part in parts.items():
        units.setdefault(key(path), set()).add(part)
    assert all(len(one) == 1 for one in units.values())
    if len(units) > 1:
        assert {"train", "val"} <= set(parts.values())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=2, max_size=200), shares())
def test_every_part_has_its_share_of_every_class(numbers, chosen):
    classes = {f"images/{place}.png": [number] for place, number in enumerate(numbers)}
    parts, _ = split_choose(classes, config_of(chosen), None, classes)
    for number in set(numbers):
        mine = [part for path, part in parts.items() if classes[path] == [number]]
        for part in ("train", "val", "test"):
            # one more or less by rounding, and one that was moved so that no part is empty
            assert abs(mine.count(part) - getattr(chosen, part) * len(mine)) <= 2


def test_a_rare_class_is_in_training_and_validation():
    classes = {f"images/{number}.png": [0] for number in range(1000)}
    classes |= {f"images/rare-{number}.png": [1] for number in range(10)}
    parts, _ = split_choose(classes, {"train": 0.8, "val": 0.2, "seed": 1}, None, classes)
    rare = [part for path, part in parts.items() if "rare" in path]
    assert (rare.count("train"), rare.count("val")) == (8, 2)


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
        {"train": 0.8, "val": 0.2, "stratify": "yes"},
        {"train": 0.8, "val": 0.2, "group": "(a+)+$"},
        {"train": 0.8, "val": 0.2, "group": "before:"},
    ],
)
def test_a_split_that_can_not_be_trained_with_is_refused(config):
    with pytest.raises(SplitError):
        SplitShares.read(config)
