"""What an import finds: copies across splits, boxes, balance, names, and pictures of what it left out."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from training.datasets.copies import BITS_APART, NEIGHBOURS, Look, _near, copies_find, look_at
from training.datasets.findings import boxes, uneven
from training.datasets.formats.registry import format_find
from training.datasets.scan import Scan, ScannedImage
from training.datasets.services import dataset_import
from training.models import Dataset
from training.tests.datasets_folder import folder_write, write
from training.tests.test_pages import browser, text_of


def scene(number: int, side: int = 96) -> Image.Image:
    """A soft picture of its own, as photographs are."""
    values = np.random.default_rng(number).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((side, side), Image.Resampling.BICUBIC)


def images_of(*files: tuple[Path, str]) -> list[ScannedImage]:
    return [ScannedImage(f"images/{file.name}", file, 96, 96, split) for file, split in files]


def saved(folder: Path, name: str, image: Image.Image, **words: Any) -> Path:
    image.save(folder / name, **words)
    return folder / name


def test_copies_are_found_whatever_was_done_to_the_file(tmp_path: Path) -> None:
    original = saved(tmp_path, "a.png", scene(1))
    again = tmp_path / "b.png"
    again.write_bytes(original.read_bytes())
    others = [
        saved(tmp_path, "worse.jpg", scene(1), quality=40),
        saved(tmp_path, "smaller.png", scene(1).resize((60, 60), Image.Resampling.LANCZOS)),
        saved(tmp_path, "brighter.png", scene(1).point(lambda value: min(255, value + 2))),
    ]
    strangers = [saved(tmp_path, f"s{number}.png", scene(number)) for number in range(2, 22)]
    files = [(original, "train"), (again, "train"), *((one, "val") for one in others)]
    found = copies_find(images_of(*files, *((one, "train") for one in strangers)))
    assert [(one.places, one.exact) for one in found] == [((0, 1, 2, 3, 4), False)]
    found = copies_find(images_of((original, "train"), (strangers[0], "val"), (again, "val")))
    assert [(one.places, one.exact) for one in found] == [((0, 2), True)]


def test_pictures_of_one_colour_are_copies_only_byte_for_byte(tmp_path: Path) -> None:
    flat = [saved(tmp_path, f"{n}.png", Image.new("RGB", (40 + n, 40), (n, n, n))) for n in range(5)]
    assert copies_find(images_of(*((one, "train") for one in flat))) == []


def test_the_pairs_of_many_pictures_are_few() -> None:
    """100,000 pictures of the worst kind, all in one band: the cost is bounded, and neighbours are still found."""
    looks = [Look(b"\0" * 72, 0xFFFF | (number << 16), number) for number in range(3000)]
    pairs = list(_near(range(3000), looks))
    assert 0 < len(pairs) <= 4 * 3000 * NEIGHBOURS
    assert {(0, 1), (2, 3)} <= {tuple(sorted(pair)) for pair in pairs}
    assert all((looks[a].signs ^ looks[b].signs).bit_count() <= BITS_APART for a, b in pairs)  # type: ignore[operator]


def test_a_small_change_of_signs_always_shares_a_band(tmp_path: Path) -> None:
    look = look_at(saved(tmp_path, "a.png", scene(5)))
    assert look.signs is not None
    for flips in ([], [0], [5, 40], [1, 17, 33], [15, 31, 63]):
        other = Look(look.grey, look.signs ^ sum(1 << bit for bit in flips), 1)
        assert list(_near([0, 1], [look, other]))
    apart = Look(look.grey, look.signs ^ 0b11110000, 1)
    assert not list(_near([0, 1], [look, apart]))


def labelled(lines: str, split: str = "train", numbers: tuple[int, ...] = (0,)) -> ScannedImage:
    return ScannedImage("images/a.png", Path("a"), 100, 200, split, "labels/a.txt", lines.encode(), numbers)


def test_sizes_and_aspects_of_boxes_polygons_and_poses() -> None:
    def found(task: str, lines: str) -> dict[str, Any]:
        scan = Scan("yolo", task, ["a"], [labelled(lines)], {}, {}, None)  # type: ignore[arg-type]
        return boxes(scan)

    box = found("detection", "0 0.5 0.5 0.1 0.1\n0 0.5 0.5 1 1\n")
    assert {one["name"]: one["count"] for one in box["shares"] if one["count"]} == {"1 to 10 %": 1, "over 50 %": 1}
    assert box["sizes"] == {"small": 1, "medium": 0, "large": 1}
    assert {one["name"]: one["count"] for one in box["aspects"] if one["count"]} == {"1 : 4 to 2 : 3": 2}
    assert found("segmentation", "0 0 0 0.4 0 0.4 0.2\n")["aspects"][2]["count"] == 1
    assert found("pose", "0 0.5 0.5 0.4 0.2 0.1 0.1 2\n")["aspects"][2]["count"] == 1


def test_classes_that_a_part_lacks_are_named() -> None:
    images = [labelled("", "train", (0, 1)), labelled("", "val", (0,))]
    scan = Scan("yolo", "detection", ["cat", "dog", "never"], images, {}, {}, None)  # type: ignore[arg-type]
    assert uneven(scan) == [{"name": "dog", "split": "val"}]


@pytest.fixture
def dataset(cast: SimpleNamespace, tmp_path: Path) -> Dataset:
    folder = folder_write(tmp_path / "pets")
    scene(1).save(folder / "images/train/a.png")
    scene(1).save(folder / "images/val/c.png")
    scene(2).save(folder / "images/train/B.png")
    (folder / "labels/train/B.txt").write_text("1 0.5 0.5 0.2 0.2\n")
    for name, line in {"out": "0 1.5 0.5 0.2 0.2", "negative": "0 0.5 0.5 -0.2 0.2", "none": "0 0.5 0.5 0 0.2"}.items():
        scene(9).save(folder / f"images/train/{name}.png")
        write(folder, f"labels/train/{name}.txt", line)
    write(folder, "images/train/broken.png", b"\x89PNG\r\n\x1a\n")
    write(folder, "labels/train/orphan.txt", "0 0.5 0.5 0.2 0.2\n")
    return dataset_import(cast.organization, "pets", folder, None)


@pytest.mark.django_db
def test_the_dataset_page_shows_it_with_pictures(cast: SimpleNamespace, dataset: Dataset) -> None:
    report = dataset.report
    assert report["copies"]["leaks"] == 1 and report["copies"]["groups"][0]["leak"]
    assert report["copies"]["groups"][0]["paths"] == ["images/train/a.png", "images/val/c.png"]
    kinds = report["problem_kinds"]
    assert {"outside": 2, "sizes": 1, "corrupt": 1, "orphaned": 1, "names": 1}.items() <= kinds.items()
    assert any(
        "differs only in case from images/train/B.png" in one or "only in case" in one for one in report["problems"]
    )
    assert {one["file"] for one in report["offenders"]} == {
        f"images/train/{n}.png" for n in ("out", "negative", "none")
    }
    guest = browser(cast.teammate)
    page = text_of(guest, f"/datasets/{dataset.pk}/")
    for words in (
        "1 across splits",
        "x 1.5 is outside",
        "Classes that a split lacks",
        "dog: none in val",
        "about square",
    ):
        assert words in page, words
    left_out = guest.get(f"/datasets/{dataset.pk}/left-out/0/")
    assert left_out["Content-Type"] == "image/jpeg" and left_out.content[:2] == b"\xff\xd8"
    assert guest.get(f"/datasets/{dataset.pk}/left-out/3/").status_code == 404
    assert browser(cast.stranger).get(f"/datasets/{dataset.pk}/left-out/0/").status_code == 404


@pytest.mark.django_db
def test_duplicate_ids_and_boxes_outside_in_coco_are_told(cast: SimpleNamespace, tmp_path: Path) -> None:
    folder = tmp_path / "coco"
    for number in range(5):
        (folder / "images").mkdir(parents=True, exist_ok=True)
        scene(number).save(folder / f"images/{number}.png")
    size = {"width": 96, "height": 96}
    images = [{"id": min(n, 3), "file_name": f"{n}.png", **size} for n in range(5)]
    found = [(0, [1, 1, 9, 9]), (1, [90, 1, 90, 9]), (2, [5, 5, -3, 9]), (3, [1, 1, 9, 9]), (77, [1, 1, 2, 2])]
    annotations = [{"id": n, "image_id": i, "category_id": 1, "bbox": box} for n, (i, box) in enumerate(found)]
    whole = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "a"}]}
    write(folder, "annotations.json", json.dumps(whole))
    report = dataset_import(cast.organization, "coco", folder, None).report
    assert {"ids": 1, "outside": 1, "sizes": 1, "orphaned": 1}.items() <= report["problem_kinds"].items()
    assert {one["file"] for one in report["offenders"]} == {"1.png", "2.png"}


@pytest.mark.django_db
def test_splits_whose_classes_differ_are_refused(tmp_path: Path) -> None:
    from training.datasets.scan import DatasetError

    for split, name in (("train", "cat"), ("val", "dog")):
        (tmp_path / "c" / split).mkdir(parents=True)
        whole = {"images": [], "annotations": [{"bbox": [1, 1, 1, 1]}], "categories": [{"id": 1, "name": name}]}
        write(tmp_path / "c", f"annotations/instances_{split}.json", json.dumps(whole))
    with pytest.raises(DatasetError, match="class 1 is called cat and dog"):
        format_find(tmp_path / "c").scan(tmp_path / "c")
