"""The SDK's conversion of masks gives what an import on the platform gives, for every mask, in every spelling."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from trainers.sdk import DatasetError
from trainers.sdk.coco import coco_to_yolo
from training.datasets.formats.pixels.documents import outlines_of
from training.datasets.formats.pixels.masks import BadMask, counts_make
from training.datasets.formats.pixels.objects import BadObject, Thing, line_make, line_read
from training.tests.test_datasets_pixels import filled

MASKS = arrays(np.bool_, st.tuples(st.integers(1, 14), st.integers(1, 14)))
COUNTS = st.text(max_size=8) | st.lists(st.integers(-3, 60), max_size=5)


def converted(told: Any, height: int, width: int) -> list[str]:
    """The SDK's label lines of one image with one object."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        (folder / "in/a.png").touch()
        image = {"id": 1, "file_name": "a.png", "width": width, "height": height}
        found = {"image_id": 1, "category_id": 5, "segmentation": told}
        whole = {"images": [image], "annotations": [found], "categories": [{"id": 5, "name": "a"}]}
        (folder / "coco.json").write_text(json.dumps(whole))
        coco_to_yolo(folder / "coco.json", folder / "in", folder / "out", "segment")
        return (folder / "out/labels/a.txt").read_text().splitlines()


def imported(told: Any, height: int, width: int) -> list[str]:
    """The same by the platform; no line for an object of which nothing is there."""
    outlines = outlines_of(told)
    return [line_make(Thing(0, polygons=outlines), "segmentation", width, height)] if outlines else []


def numbers(lines: list[str]) -> list[list[float]]:
    return [[float(word) for word in line.split()] for line in lines]


@given(MASKS)
def test_a_mask_becomes_what_the_platform_makes_of_it(mask: Any) -> None:
    height, width = mask.shape
    packed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    for counts in (packed, counts_make(mask)):
        told = {"size": [height, width], "counts": counts}
        ours = converted(told, height, width)
        theirs = numbers(imported(told, height, width))
        assert numbers(ours) == [pytest.approx(line, abs=1e-9) for line in theirs]
        for line in ours:  # and so it is the mask itself, to the pixel
            (outline,) = line_read(line, "segmentation", width, height).polygons
            assert (filled(tuple(round(value) for value in outline), height, width) == mask).all()
        assert bool(ours) == mask.any()


@given(COUNTS, st.tuples(st.integers(-1, 8), st.integers(-1, 8)))
def test_run_lengths_of_any_content_are_taken_or_refused_by_both(counts: Any, size: tuple[int, int]) -> None:
    told = {"size": size, "counts": counts}
    try:
        theirs: Any = numbers(imported(told, 8, 8))
    except (BadMask, BadObject, OverflowError):
        theirs = None
    try:
        ours: Any = numbers(converted(told, 8, 8))
    except DatasetError:
        ours = None
    assert ours == (theirs and [pytest.approx(line, abs=1e-9) for line in theirs])


@pytest.mark.parametrize("told", [{"size": [9000, 90000], "counts": [810_000_000]}, {"size": [2], "counts": [4]}, {}])
def test_a_mask_that_is_none_is_refused(told: Any) -> None:
    with pytest.raises(DatasetError, match="not a COCO file for segment"):
        converted(told, 8, 8)
