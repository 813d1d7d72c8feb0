"""Reading a YOLO folder: what is good is found, what is bad is named with file and line."""

from pathlib import Path

import pytest
from PIL import Image

from training.datasets.formats import yolo
from training.datasets.formats.registry import format_find, format_list
from training.datasets.images import BadImage, image_size
from training.datasets.scan import DatasetError, Scan
from training.tests.datasets_folder import BOX, YAML, folder_write, picture, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return folder_write(tmp_path / "import" / "pets")


def paths(found: Scan) -> list[str]:
    return sorted(path for path, _ in found.files())


def test_it_reports_what_it_found(folder):
    write(folder, "labels/train/a.txt", BOX + "1 0.1 0.1 0.1 0.1\n\n")
    write(folder, "labels/train/b.txt", "")
    report = yolo.scan(folder).report()
    assert [report[name] for name in ("images", "labelled", "background", "left_out", "instances")] == [4, 3, 1, 0, 4]
    assert report["splits"] == {"train": 2, "val": 2}
    assert report["classes"][1] == {"name": "dog", "instances": {"train": 1, "val": 0}}
    assert report["image_sizes"] == {"smallest": [20, 16], "largest": [23, 16]}
    assert (report["problems"], report["problem_count"]) == ([], 0)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("12 0.5 0.5 0.1 0.1", "class 12 is out of range 0–1"),
        ("-1 0.5 0.5 0.1 0.1", "class -1 is out of range 0–1"),
        ("0.5 0.5 0.5 0.1 0.1", "class 0.5 is not a whole number"),
        ("0 0.5 0.5 0.1", "4 fields, but a box has 5: class x y width height"),
        ("0 0.1 0.1 0.2 0.1 0.2 0.2", "7 fields, but a box has 5: class x y width height"),
        ("0 0.5 x.5 0.1 0.1", "'x.5' is not a number"),
        ("0 nan 0.5 0.1 0.1", "'nan' is not a number"),
        ("0 1e999 0.5 0.1 0.1", "x inf is outside 0–1"),
        ("0 0.5 1.5 0.1 0.1", "y 1.5 is outside 0–1"),
        ("0 0.5 0.5 -0.1 0.1", "width -0.1 is outside 0–1"),
        ("0 0.5 0.5 0.1 0", "the box has no size"),
        ("0\x00 0.5 0.5 0.1 0.1", "'0\\x00' is not a number"),
    ],
)
def test_a_corrupt_label_line_is_named_and_its_image_left_out(folder, line, sentence):
    write(folder, "labels/train/a.txt", f"{BOX}{BOX}{line}\n")
    found = yolo.scan(folder)
    assert found.report()["problems"] == [f"labels/train/a.txt line 3: {sentence}"]
    assert found.report()["left_out"] == 1
    assert not [name for name in paths(found) if "train/a" in name]


def test_a_label_that_is_no_text_is_named(folder):
    write(folder, "labels/train/a.txt", b"\xff\xfe0 \x00")
    report = yolo.scan(folder).report()
    assert report["problems"] == ["labels/train/a.txt: this is not a text file"]


def test_labels_of_other_tools_are_read_as_well(folder):
    write(folder, "labels/train/a.txt", b"\xef\xbb\xbf0.0 5e-1 .5 1.0000001 1\r\n1 0.5 0.5 0.5 0.5")
    assert yolo.scan(folder).report()["instances"] == 5


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"hello", "this is not an image"),
        (b"", "this is not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n", "this is not an image"),
        (picture(9), "9 × 16 pixels are too few: at least 10 × 10 are needed"),
        (picture(200, 200)[:-300], "damaged"),
        (picture(640, 480, "JPEG")[:2000], "damaged"),
    ],
)
def test_an_image_that_is_none_is_named_and_left_out(folder, content, sentence):
    write(folder, "images/train/a.png", content)
    report = yolo.scan(folder).report()
    assert (report["images"], report["left_out"], report["problem_count"]) == (3, 1, 1)
    assert report["problems"][0].startswith("images/train/a.png: ")
    assert sentence in report["problems"][0]


def test_an_image_bomb_is_refused_by_its_header(tmp_path, monkeypatch):
    monkeypatch.setattr("training.datasets.images.MAX_PIXELS", 10_000)
    with pytest.raises(BadImage, match="101 × 100 pixels are more than"):
        image_size(write(tmp_path, "a.png", picture(101, 100)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(BadImage, match="more than the 10,000 pixels"):
        image_size(write(tmp_path, "a.png", picture(101, 100)))


def test_a_missing_label_is_a_background_image(folder):
    (folder / "labels/train/a.txt").unlink()
    report = yolo.scan(folder).report()
    assert (report["background"], report["missing_labels"], report["problem_count"]) == (1, 1, 0)


def test_an_orphan_label_is_named(folder):
    write(folder, "labels/val/nobody.txt", BOX)
    found = yolo.scan(folder)
    assert found.report()["problems"] == ["labels/val/nobody.txt: no image belongs to this label file"]
    assert "labels/val/nobody.txt" not in paths(found)


def test_the_same_picture_twice_is_named(folder):
    write(folder, "images/val/c.png", (folder / "images/train/a.png").read_bytes())
    report = yolo.scan(folder).report()
    assert report["problems"] == ["images/val/c.png: the same picture as images/train/a.png"]


def test_only_the_first_100_problems_are_kept_and_all_are_counted(folder):
    for number in range(130):
        write(folder, f"labels/train/orphan{number:03d}.txt", BOX)
    report = yolo.scan(folder).report()
    assert (len(report["problems"]), report["problem_count"]) == (100, 130)


def test_names_and_problems_can_be_stored_whatever_they_are(folder):
    write(folder, "data.yaml", YAML.replace("cat", '"c\\0a\\u202et <b>"'))
    (folder / "images/train/new\nline.png").write_bytes(picture(77))
    found = yolo.scan(folder)
    assert found.classes[0] == "c\ufffda\ufffdt <b>"
    assert found.report()["problems"] == [
        "images/train/new\ufffdline.png: the platform can't store a file of this name"
    ]


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        ("names: {1: dog, 0: cat}", ["cat", "dog"]),
        ("names: {'0': cat, '1': dog}", ["cat", "dog"]),
        ("names: [1.0, no]\ntest: ~", ["1.0", "no"]),
        ("nc: 2", ["class_0", "class_1"]),
        ("names: ~", ["class_0"]),
        ("", ["class_0"]),
    ],
)
def test_it_reads_class_names_as_list_and_dict(folder, names, classes):
    write(folder, "data.yaml", YAML.replace("names: [cat, dog]", names))
    assert yolo.scan(folder).classes == classes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [cat", "data.yaml line 1 is not valid YAML"),
        ("just text", "data.yaml must have keys"),
        ("names: {0: cat, 2: dog}", "numbered 0 to 1, without gaps"),
        ("names: [[a], [b]]", "name of class 0 must be text"),
        ("names: ['', b]", "name of class 0 must be text"),
        ("? [a]\n: b", "data.yaml line 1 is not valid YAML"),
        ("names: [a]\ntrain: images/train\nval: images/missing", "val is images/missing, but there is no such folder"),
        ("names: [a]\ntrain: /etc", "train is /etc, but there is no such folder in pets"),
        ("names: [a]\ntrain: ../../secret", "train is ../../secret, but there is no such folder"),
        ("names: [a]\ntrain: train.txt", "train names the list train.txt; name a folder"),
        ("names: [a]\ntrain: {a: b}", "train must name a folder"),
        ("names: [a]\npath: [1]", "path must be text"),
        (f"names: [a]\ntrain: {'x' * 5000}", "there is no such folder"),
        ("[" * 1000, "not valid YAML"),
        (f"a: {'x' * 1024 * 1024}", "larger than 1 MiB"),
    ],
)
def test_a_data_yaml_that_can_not_be_followed_is_refused(folder, tmp_path, text, message):
    (tmp_path / "secret").mkdir()
    write(folder, "data.yaml", text)
    with pytest.raises(DatasetError, match=message):
        yolo.scan(folder)


def test_doubts_about_class_names_are_told(folder):
    write(folder, "data.yaml", YAML.replace("[cat, dog]", "[cat, cat]\nnc: 3"))
    assert yolo.scan(folder).report()["problems"] == [
        "data.yaml: nc is not 2, the number of names; the names count",
        "data.yaml: 2 classes are called cat",
    ]


def test_it_takes_what_roboflow_exports(tmp_path):
    top = tmp_path / "import" / "robo"
    write(top, "data.yaml", "train: ../train/images\nval: ../valid/images\nnames: [cat]\n")
    for number, part in enumerate(("train", "valid")):
        write(top, f"{part}/images/x.jpg", picture(20 + number, kind="JPEG"))
        write(top, f"{part}/labels/x.txt", BOX)
    found = yolo.scan(top)
    assert paths(found)[1:] == ["images/train/x.jpg", "images/val/x.jpg", "labels/train/x.txt", "labels/val/x.txt"]


def test_it_takes_folders_without_data_yaml(folder):
    (folder / "data.yaml").unlink()
    found = yolo.scan(folder)
    assert found.report()["problems"][0].startswith("data.yaml: missing, so the classes have no names")
    assert found.split == {"images/train": "train", "images/val": "val"}


def test_it_takes_a_flat_folder_without_a_split(tmp_path):
    for number, name in enumerate("ab"):
        write(tmp_path / "import/flat", f"images/{name}.png", picture(20 + number))
        write(tmp_path / "import/flat", f"labels/{name}.txt", BOX)
    found = yolo.scan(tmp_path / "import/flat")
    assert (found.split, found.report()["splits"]) == ({}, {"all": 2})
    assert paths(found)[1:] == ["images/a.png", "images/b.png", "labels/a.txt", "labels/b.txt"]


def test_images_beside_the_folders_of_the_split_are_named(folder):
    (folder / "data.yaml").unlink()
    write(folder, "images/stray.png", picture())
    problems = yolo.scan(folder).report()["problems"]
    assert "images: images that lie beside the folders of the split are left out (1)" in problems


def test_links_out_of_the_folder_are_not_followed(folder, tmp_path):
    secret = write(tmp_path, "secret.png", picture(99))
    (folder / "images/train/link.png").symlink_to(secret)
    (folder / "labels/train/a.txt").unlink()
    (folder / "labels/train/a.txt").symlink_to(write(tmp_path, "secret.txt", BOX))
    (folder / "images/train/more").symlink_to(tmp_path)
    found = yolo.scan(folder)
    assert found.report()["problem_count"] == 2
    assert all("links that lead out" in problem for problem in found.report()["problems"])
    assert [name for name in paths(found) if "train" in name] == ["images/train/b.png", "labels/train/b.txt"]


def test_every_format_is_found_by_its_file(folder):
    assert format_find(folder) is format_list()["yolo"]
