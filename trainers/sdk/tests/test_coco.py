"""COCO to YOLO: exact numbers, what lies outside is cut, and no file is written outside of the target."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trainers.sdk import DatasetError
from trainers.sdk.coco import coco_to_yolo
from trainers.sdk.yolo import inspect_folder

SQUARE = [10, 10, 30, 10, 30, 20, 10, 20]


def folder(tmp_path: Path, annotations: list[dict], names: tuple[str, ...] = ("a.png", "안녕/b c.jpg")) -> Path:
    """Images of 100 × 50 pixels, numbered from 1, and their COCO file."""
    for name in names:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    images = [{"id": n, "file_name": name, "width": 100, "height": 50} for n, name in enumerate(names, 1)]
    categories = [{"id": 90, "name": "cat"}, {"id": 7, "name": "dog"}]
    found = [{"image_id": 1, "category_id": 90} | one for one in annotations]
    (tmp_path / "coco.json").write_text(json.dumps({"images": images, "annotations": found, "categories": categories}))
    return tmp_path / "coco.json"


def converted(tmp_path: Path, annotations: list[dict], task: str = "detect") -> list[str]:
    coco_to_yolo(folder(tmp_path, annotations), tmp_path / "in", tmp_path / "out", task)
    return (tmp_path / "out/labels/a.txt").read_text().splitlines()


def test_boxes_are_exact_cut_at_the_edge_and_left_out_without_size(tmp_path):
    boxes = [
        [10, 10, 20, 10],
        [-5, 0, 15, 50],
        [99, 49, 9, 9],
        [3, 3, 0, 4],
        [3, 3, -2, 4],
        [200, 0, 5, 5],
        [0, 0, 1 / 3, 1],
    ]
    assert converted(tmp_path, [{"bbox": box} for box in boxes]) == [
        "1 0.2 0.3 0.2 0.2",
        "1 0.05 0.5 0.1 1",
        "1 0.995 0.99 0.01 0.02",
        "1 0.001666666667 0.01 0.003333333333 0.02",
    ]
    report = inspect_folder(tmp_path / "out", 2)
    assert (report.images, report.labels, report.boxes, report.problems) == (2, 2, 4, [])
    assert (tmp_path / "out/classes.txt").read_text() == "dog\ncat\n"
    assert (tmp_path / "out/labels/안녕/b c.txt").read_text() == ""


def test_crowds_are_left_out(tmp_path):
    assert converted(tmp_path, [{"bbox": [1, 1, 5, 5], "iscrowd": 1}]) == []


def test_outlines_of_one_object_become_one_polygon(tmp_path):
    other = [50, 0, 60, 0, 60, 10]
    one, two = converted(tmp_path, [{"segmentation": [SQUARE]}, {"segmentation": [SQUARE, other]}], "segment")
    assert one == "1 0.1 0.2 0.3 0.2 0.3 0.4 0.1 0.4"
    assert two == f"{one} 0.1 0.2 0.5 0 0.6 0 0.6 0.2 0.5 0 0.1 0.2"


def test_a_mask_of_run_lengths_becomes_its_outline_and_an_empty_one_nothing(tmp_path):
    stripe = {"size": [50, 100], "counts": [500, 1000, 3500]}  # columns 10 to 29
    none = {"size": [50, 100], "counts": [5000]}
    found = converted(tmp_path, [{"segmentation": stripe}, {"segmentation": none}], "segment")
    assert found == ["1 0.1 0 0.3 0 0.3 1 0.1 1"]


def test_key_points_keep_their_visibility(tmp_path):
    found = {"bbox": [10, 10, 20, 10], "keypoints": [20, 15, 2, 0, 0, 0, 30, 20, 1, 500, 1, 2]}
    none = {"bbox": [10, 10, 20, 10], "keypoints": [0, 0, 0]}
    assert converted(tmp_path, [found, none], "pose") == ["1 0.2 0.3 0.2 0.2 0.2 0.3 2 0 0 0 0.3 0.4 1 0 0 0"]


def test_images_are_linked_as_a_folder_or_one_by_one_where_others_lie_beside_them(tmp_path):
    made = folder(tmp_path, [])
    coco_to_yolo(made, tmp_path / "in", tmp_path / "out")
    assert (tmp_path / "out/images").is_symlink()
    coco_to_yolo(made, tmp_path / "in", tmp_path / "out")  # again, over it
    (tmp_path / "in/other.png").touch()
    coco_to_yolo(made, tmp_path / "in", tmp_path / "second")
    assert sorted(path.name for path in (tmp_path / "second/images").rglob("*.*g")) == ["a.png", "b c.jpg"]
    assert (tmp_path / "second/images/a.png").is_symlink()


@pytest.mark.parametrize("name", ["../a.png", "/etc/hostname", "gone.png", ""])
def test_a_name_that_is_no_image_of_the_folder_is_refused(tmp_path, name):
    made = folder(tmp_path, [])
    made.write_text(made.read_text().replace('"a.png"', json.dumps(name)))
    (tmp_path / "a.png").touch()
    with pytest.raises(DatasetError, match="not an image of the folder"):
        coco_to_yolo(made, tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("task", "found"),
    [
        ("segment", {"segmentation": {"size": [50, 100], "counts": [0, 4999]}}),
        ("segment", {"segmentation": [[1, 2, 3]]}),
        ("detect", {"bbox": [1, 2, 3]}),
        ("detect", {"image_id": 7, "bbox": [1, 2, 3, 4]}),
        ("detect", {"category_id": 1, "bbox": [1, 2, 3, 4]}),
        ("obb", {}),
    ],
)
def test_what_can_not_be_converted_is_told(tmp_path, task, found):
    with pytest.raises(DatasetError):
        converted(tmp_path, [found], task)
