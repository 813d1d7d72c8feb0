"""The demo dataset is real, exact, disjoint and the same every time."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.datasets import demo
from training.datasets.demo import INK, demo_dataset_write
from training.datasets.formats.registry import format_find


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return demo_dataset_write(tmp_path_factory.mktemp("demo"))


def boxes(folder: Path, name: str) -> list[tuple[int, int, int, int]]:
    rows = [[float(text) for text in line.split()] for line in (folder / f"labels/{name}.txt").read_text().splitlines()]
    edges = [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for _, x, y, w, h in rows]
    return [tuple(round(edge * 128) for edge in box) for box in edges]  # type: ignore[misc]


def test_it_is_a_dataset_without_a_problem(folder):
    report = format_find(folder).scan(folder).report()
    assert (report["images"], report["splits"], report["problem_count"]) == (380, {"train": 320, "val": 60}, 0)
    assert report["image_sizes"] == {"smallest": [128, 128], "largest": [128, 128]}
    assert [found["name"] for found in report["classes"]] == [str(digit) for digit in range(10)]
    assert all(found["instances"]["val"] > 5 for found in report["classes"])


def test_every_box_touches_its_ink_on_all_sides_and_no_other(folder):
    for number in range(60):
        pixels = np.asarray(Image.open(folder / f"images/val/val-{number:04d}.png").convert("L")) >= INK
        found = boxes(folder, f"val/val-{number:04d}")
        assert 2 <= len(found) <= 4
        for left, top, right, bottom in found:
            ink = pixels[top:bottom, left:right]
            assert all(side.any() for side in (ink[0], ink[-1], ink[:, 0], ink[:, -1]))
            pixels[top:bottom, left:right] = False
        assert not pixels.any()


def test_no_digit_is_both_for_training_and_for_validation(monkeypatch, tmp_path):
    used: dict[str, set[bytes]] = {"train": set(), "val": set()}
    monkeypatch.setattr(
        demo,
        "_scene_write",
        lambda folder, split, name, drawings, random: used[split].update(drawing.tobytes() for drawing, _ in drawings),
    )
    demo_dataset_write(tmp_path)
    assert not used["train"] & used["val"]
    assert len(used["train"] | used["val"]) == 1797


def test_the_same_seed_draws_the_same_scenes(folder, tmp_path):
    again = demo_dataset_write(tmp_path)
    for path in ("images/train/train-0319.png", "labels/val/val-0059.txt", "data.yaml"):
        assert (again / path).read_bytes() == (folder / path).read_bytes()
