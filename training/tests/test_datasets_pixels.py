"""Annotations in pixels become shares of the image and back without a loss; masks become outlines and back exactly."""

import json
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from training.datasets.formats import coco, coco_pose, coco_segment, dice, dice_classify, dice_segment, voc
from training.datasets.formats.pixels.masks import (
    BadMask,
    counts_make,
    counts_unpack,
    mask_outlines,
    mask_read,
    polygons_join,
)
from training.datasets.formats.pixels.objects import BadObject, Thing, line_make, line_read
from training.datasets.formats.registry import format_find
from training.datasets.scan import DatasetError
from training.datasets.services import dataset_import
from training.storage.store import external_store
from training.tests.datasets_folder import picture, write

MASKS = arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))
SIDES = st.integers(10, 8000)
SHARES = st.floats(0, 1)


def filled(polygon: tuple[float, ...], height: int, width: int) -> Any:
    """The pixels whose middles lie within the polygon, by the even-odd rule: how many edges a ray to the left meets."""
    corners = list(zip(polygon[::2], polygon[1::2], strict=True))
    inside = np.zeros((height, width), dtype=bool)
    for (x1, y1), (x2, y2) in pairwise([*corners, corners[0]]):
        for y in range(height):
            if (y1 <= y + 0.5) != (y2 <= y + 0.5):
                crossing = x1 + (y + 0.5 - y1) * (x2 - x1) / (y2 - y1)
                inside[y] ^= np.arange(width) + 0.5 > crossing
    return inside


@given(MASKS)
def test_the_outlines_of_a_mask_are_the_mask_to_the_pixel(mask: Any) -> None:
    outlines = mask_outlines(mask)
    if outlines:
        assert (filled(polygons_join(outlines), *mask.shape) == mask).all()
    assert bool(outlines) == mask.any()


@given(MASKS)
def test_run_lengths_are_read_as_cocos_own_library_writes_them(mask: Any) -> None:
    packed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert (mask_read(packed["size"], packed["counts"].decode()) == mask).all()
    assert counts_unpack(packed["counts"].decode()) == counts_make(mask)
    assert (mask_read(mask.shape, counts_make(mask)) == mask).all()


@given(
    st.lists(st.integers(0, 100), min_size=2, max_size=2), st.text(max_size=12) | st.lists(st.integers(), max_size=6)
)
def test_run_lengths_of_any_content_are_a_mask_or_refused(size: tuple[int, int], counts: Any) -> None:
    try:
        assert mask_read(size, counts).shape == size
    except (BadMask, OverflowError):
        return


@given(SIDES, SIDES, st.lists(SHARES, min_size=4, max_size=4))
def test_a_box_comes_back_to_the_pixel(width: int, height: int, shares: list[float]) -> None:
    left, right = sorted((shares[0] * width, shares[1] * width))
    top, bottom = sorted((shares[2] * height, shares[3] * height))
    if right - left < 0.01 or bottom - top < 0.01:
        return
    box = (left, top, right - left, bottom - top)
    found = line_read(line_make(Thing(3, box), "detection", width, height), "detection", width, height)
    assert found.number == 3 and found.box == pytest.approx(box, abs=1e-6)


@given(SIDES, SIDES, st.lists(st.tuples(SHARES, SHARES, st.sampled_from([1, 2])), min_size=1, max_size=17))
def test_key_points_come_back_to_the_pixel(width: int, height: int, shares: list[tuple[float, float, int]]) -> None:
    points = tuple((x * width, y * height, visible) for x, y, visible in shares)
    thing = Thing(0, (0.0, 0.0, float(width), float(height)), points=points)
    found = line_read(line_make(thing, "pose", width, height), "pose", width, height)
    for (x, y, visible), (x2, y2, visible2) in zip(points, found.points, strict=True):
        assert visible == visible2 and (x2, y2) == pytest.approx((x, y), abs=1e-6)


@given(SIDES, SIDES, st.lists(st.tuples(SHARES, SHARES), min_size=3, max_size=20))
def test_an_outline_comes_back_to_the_pixel(width: int, height: int, shares: list[tuple[float, float]]) -> None:
    polygon = tuple(value for x, y in shares for value in (x * width, y * height))
    try:
        line = line_make(Thing(0, polygons=(polygon,)), "segmentation", width, height)
    except BadObject as error:
        assert str(error) == "an outline has no area"
        return
    assert line_read(line, "segmentation", width, height).polygons[0] == pytest.approx(polygon, abs=1e-6)


@pytest.mark.parametrize("box", [(0, 0, 0, 5), (0, 0, -3, 5), (5, 5, 20, 5), (-9, 0, 4, 4), (float("nan"), 0, 4, 4)])
def test_a_box_that_is_none_or_lies_outside_is_refused(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(BadObject):
        line_make(Thing(0, box), "detection", 20, 16)


def test_what_rounding_put_beyond_the_edge_is_cut_off() -> None:
    assert line_make(Thing(0, (-0.5, 0.0, 20.9, 16.0)), "detection", 20, 16) == "0 0.5 0.5 1 1"


OUTLINE = [[2, 2, 8, 2, 8, 6]]
ANNOTATION = {"image_id": 7, "category_id": 90, "bbox": [2, 4, 10, 8], "id": 1}


def coco_write(top: Path, *annotations: dict[str, Any], parts: tuple[str, ...] = ("train", "val"), **more: Any) -> Path:
    """A COCO folder with a picture of 20 × 16 in each part, and ids that are no numbers of ours."""
    for number, part in enumerate(parts):
        write(top, f"{part}2017/그림 {part}.png", picture(20 + number))
        document = {
            "images": [{"id": 7, "file_name": f"그림 {part}.png", "width": 20 + number, "height": 16}],
            "annotations": [dict(one) for one in annotations or (ANNOTATION,)],
            "categories": [{"id": 90, "name": "dog", **more}, {"id": 3, "name": "cat", **more}],
        }
        write(top, f"annotations/instances_{part}2017.json", json.dumps(document))
    return top


def labels(scan: Any) -> dict[str, str]:
    return {path: source.decode() for path, source in scan.files() if path.startswith("labels/")}


def test_coco_boxes_become_a_yolo_folder_with_classes_from_zero(tmp_path: Path) -> None:
    found = coco.scan(coco_write(tmp_path))
    assert (found.classes, found.task_type, found.problems.sentences) == (["cat", "dog"], "detection", [])
    assert labels(found)["labels/train/그림 train.txt"] == "1 0.35 0.5 0.5 0.5\n"
    assert [image.path for image in found.images] == ["images/train/그림 train.png", "images/val/그림 val.png"]
    assert found.split == {"images/train": "train", "images/val": "val"}


def test_coco_polygons_and_masks_become_outlines(tmp_path: Path) -> None:
    packed = coco_mask.encode(np.asfortranarray(np.eye(16, 20, dtype=np.uint8)[::-1].copy()))
    mask = {"size": packed["size"], "counts": packed["counts"].decode()}
    told = [{**ANNOTATION, "segmentation": one} for one in (OUTLINE, mask)]
    found = coco_segment.scan(coco_write(tmp_path, *told, parts=("train",)))
    first, second = labels(found)["labels/그림 train.txt"].splitlines()
    assert first == "1 0.1 0.125 0.4 0.125 0.4 0.375"
    (outline,) = line_read(second, "segmentation", 20, 16).polygons
    assert (filled(outline, 16, 20) == coco_mask.decode(packed).astype(bool)).all()


def test_coco_key_points_keep_their_partners_in_the_mirror(tmp_path: Path) -> None:
    told = {**ANNOTATION, "keypoints": [2, 4, 2, 12, 12, 1, 0, 0, 0]}
    top = coco_write(tmp_path, told, parts=("train",), keypoints=["left_eye", "right_eye", "nose"])
    found = coco_pose.scan(top)
    assert found.kpt_shape == (3, 3)
    assert b"flip_idx: [1, 0, 2]" in found.metadata["data.yaml"]
    assert labels(found)["labels/그림 train.txt"].split()[5:] == ["0.1", "0.25", "2", "0.6", "0.75", "1", "0", "0", "0"]


BAD = {
    "outside": ({**ANNOTATION, "bbox": [2, 4, 30, 8]}, "reaches to 32, outside of the image's 20 pixels"),
    "negative": ({**ANNOTATION, "bbox": [2, 4, -3, 8]}, "-3 × 8 pixels has no size"),
    "no box": ({**ANNOTATION, "bbox": []}, "has no size"),
    "text": ({**ANNOTATION, "bbox": ["a", 4, 3, 8]}, "no number"),
    "class": ({**ANNOTATION, "category_id": 4}, "class 4 is not in categories"),
    "orphan": ({**ANNOTATION, "image_id": 4}, "1 annotations are for images that it does not list"),
}


@pytest.mark.parametrize(("told", "words"), BAD.values(), ids=BAD)
def test_an_annotation_that_can_t_be_used_is_named(tmp_path: Path, told: dict[str, Any], words: str) -> None:
    found = coco.scan(coco_write(tmp_path, told, parts=("train",)))
    assert words in found.problems.sentences[0]
    assert len(found.images) == ("not list" in words)


def test_images_that_are_missing_doubled_or_of_another_size_are_named(tmp_path: Path) -> None:
    top = coco_write(tmp_path, parts=("train",))
    file = top / "annotations" / "instances_train2017.json"
    document = json.loads(file.read_text())
    image = document["images"][0]
    others = [{"id": 8, "file_name": "no.png"}, {"id": 9, "file_name": "../../etc/passwd"}, {**image, "file_name": "b"}]
    document["images"] = [{**image, "width": 40}, *others]
    file.write_text(json.dumps(document))
    words = " ".join(coco.scan(top).problems.sentences)
    for wanted in (
        "for 40 × 16 pixels, but it has 20 × 16",
        "no.png: the image that is annotated is not there",
        "its id 7",
    ):
        assert wanted in words


def test_a_document_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    top = coco_write(tmp_path, parts=("train",))
    file = top / "annotations" / "instances_train2017.json"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DatasetError, match="is not whole JSON"):
        coco.scan(top)


def dice_write(top: Path, task: str, **more: Any) -> Path:
    write(top, "images/a.png", picture())
    write(top, "images/b.png", picture(21))
    sizes = {"a.png": (20, "train"), "b.png": (21, "val")}
    images = [
        {"id": number, "file_name": name, "width": width, "height": 16, "split": split}
        for number, (name, (width, split)) in enumerate(sizes.items())
    ]
    told = [{"id": number, "image_id": number, "class_id": 5 + number, **more} for number in (0, 1)]
    document = {"classes": [{"id": 6, "name": "dent"}, {"id": 5, "name": "scratch"}], "images": images}
    write(top, f"annotations_{task}.json", json.dumps({**document, "annotations": told}))
    return top


def test_dice_boxes_become_a_yolo_folder_with_its_split(tmp_path: Path) -> None:
    found = dice.scan(dice_write(tmp_path, "detection", bbox=[2, 4, 10, 8]))
    assert (found.classes, found.problems.sentences) == (["scratch", "dent"], [])
    assert labels(found)["labels/train/a.txt"] == "0 0.35 0.5 0.5 0.5\n"
    assert found.split == {"images/train": "train", "images/val": "val"}


@pytest.mark.parametrize("polygon", [[2, 2, 8, 2, 8, 6], [[2, 2], [8, 2], [8, 6]], [[2, 2, 8, 2, 8, 6]]])
def test_dice_polygons_are_read_however_they_are_nested(tmp_path: Path, polygon: Any) -> None:
    found = dice_segment.scan(dice_write(tmp_path, "segmentation", polygon=polygon))
    assert labels(found)["labels/train/a.txt"] == "0 0.1 0.125 0.4 0.125 0.4 0.375\n"


def test_dice_classes_become_folders(tmp_path: Path) -> None:
    found = dice_classify.scan(dice_write(tmp_path, "classification"))
    assert [image.path for image in found.images] == ["images/train/scratch/a.png", "images/val/dent/b.png"]
    assert [image.instances for image in found.images] == [(0,), (1,)]


SIZE = "<size><width>20</width><height>16</height></size>"
XML = "<annotation><filename>{name}.png</filename>" + SIZE + "{objects}</annotation>"
OBJECT = "<object><name>{}</name><bndbox><xmin>1</xmin><ymin>5</ymin><xmax>20</xmax><ymax>12</ymax></bndbox></object>"


def voc_write(top: Path, **lists: str) -> Path:
    for name, kind in (("a", "dog"), ("b", "cat")):
        write(top, f"Annotations/{name}.xml", XML.format(name=name, objects=OBJECT.format(kind)))
        write(top, f"JPEGImages/{name}.png", picture())
    for part, names in lists.items():
        write(top, f"ImageSets/Main/{part}.txt", names)
    return top


def test_voc_counts_pixels_from_one_and_the_last_belongs_to_the_box(tmp_path: Path) -> None:
    found = voc.scan(voc_write(tmp_path))
    assert found.classes == ["cat", "dog"]
    assert labels(found) == {"labels/a.txt": "1 0.5 0.5 1 0.5\n", "labels/b.txt": "0 0.5 0.5 1 0.5\n"}


def test_vocs_lists_are_the_split(tmp_path: Path) -> None:
    found = voc.scan(voc_write(tmp_path, train="a\n", val="b  1\n"))
    assert [image.path for image in found.images] == ["images/train/a.png", "images/val/b.png"]


def test_an_xml_that_would_grow_or_is_none_is_named(tmp_path: Path) -> None:
    top = voc_write(tmp_path)
    write(top, "Annotations/c.xml", '<!DOCTYPE a [<!ENTITY b "bbb">]><annotation>&b;</annotation>')
    write(top, "Annotations/d.xml", "<annotation>")
    found = voc.scan(top)
    assert found.problems.sentences[0].startswith("Annotations/c.xml: it can't be read (it declares entities")
    assert found.problems.sentences[1].startswith("Annotations/d.xml: it can't be read (no element found")


OURS = (coco, coco_segment, coco_pose, dice, dice_segment, dice_classify, voc)


def recognised(top: Path) -> list[ModuleType]:
    return [one for one in OURS if one.recognise(top)]


def test_each_is_recognised_by_what_lies_in_the_folder(tmp_path: Path) -> None:
    outlined, pointed = {**ANNOTATION, "segmentation": OUTLINE}, {**ANNOTATION, "keypoints": [1, 1, 2]}
    assert recognised(coco_write(tmp_path / "1")) == [coco]
    assert recognised(coco_write(tmp_path / "2", outlined)) == [coco, coco_segment]  # doubtful: it is asked back
    assert recognised(coco_write(tmp_path / "3", pointed)) == [coco_pose]
    assert recognised(dice_write(tmp_path / "4", "segmentation")) == [dice_segment]
    assert recognised(voc_write(tmp_path / "5")) == [voc]
    assert format_find(tmp_path / "1") is coco
    assert format_find(tmp_path / "2", task="segmentation") is coco_segment
    with pytest.raises(DatasetError, match="say which it is"):
        format_find(tmp_path / "2")
    assert [format_find(tmp_path / name) for name in "345"] == [coco_pose, dice_segment, voc]
    assert recognised(write(tmp_path / "6", "package.json", "{}").parent) == []


@pytest.mark.django_db
def test_a_coco_folder_is_imported_without_being_told_what_it_is(cast: Any, tmp_path: Path) -> None:
    dataset = dataset_import(cast.organization, "Dogs", coco_write(tmp_path / "in"), cast.owner)
    assert (dataset.format, dataset.task_type, dataset.classes) == ("coco", "detection", ["cat", "dog"])
    stored = external_store().get(f"{dataset.prefix}/labels/val/그림 val.txt").decode()
    assert line_read(stored, "detection", 21, 16).box == pytest.approx((2, 4, 10, 8))
