"""Datasets of every task: recognised without being told, checked line by line, drawn, split and frozen."""

from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from training.datasets.formats import image_folder, yolo_obb, yolo_pose, yolo_segment
from training.datasets.formats.registry import format_find
from training.datasets.pictures import picture_shapes, pictures_all
from training.datasets.scan import DatasetError
from training.datasets.services import dataset_import
from training.datasets.snapshot import snapshot_manifest, snapshot_take
from training.datasets.thumbnails import thumbnail
from training.models import Dataset
from training.storage.store import external_store
from training.tests.datasets_folder import picture, write
from training.tests.datasets_tasks import folder_of

TASKS = ["detection", "segmentation", "classification", "pose", "obb"]


@pytest.mark.parametrize("task", TASKS)
def test_a_folder_of_each_task_is_recognised(tmp_path: Path, task: str) -> None:
    folder = folder_of(task, tmp_path / task)
    found = format_find(folder)
    report = found.scan(folder).report()
    assert (found.TASK, report["task_type"]) == (task, task)
    assert (report["images"], report["labelled"], report["instances"]) == (12, 12, 12)
    assert (report["problems"], report["missing_labels"]) == ([], 0)


def test_four_corners_in_every_line_are_asked_about(tmp_path: Path) -> None:
    folder = folder_of("obb", tmp_path / "boxes")
    write(folder, "data.yaml", (folder / "data.yaml").read_text().replace("task: obb\n", ""))
    with pytest.raises(DatasetError, match=r"say which it is.*--task obb.*--task segmentation"):
        format_find(folder)
    assert format_find(folder, task="obb").TASK == "obb"
    assert format_find(folder, wanted="yolo_segment").TASK == "segmentation"


@pytest.mark.parametrize(
    ("wanted", "task", "message"),
    [("papyrus", "", "There is no format papyrus"), ("", "juggling", "No format is not for juggling")],
)
def test_a_format_that_there_is_not_is_named(tmp_path: Path, wanted: str, task: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        format_find(folder_of("detection", tmp_path / "digits"), wanted, task)


@pytest.mark.parametrize(
    ("task", "form", "line", "sentence"),
    [
        ("segmentation", yolo_segment, "0 0.1 0.1 0.9 0.1", "5 fields, but a polygon has its class and at least 3"),
        ("segmentation", yolo_segment, "0 0.1 0.1 0.9 0.1 0.5 1.5", "y3 1.5 is outside 0–1"),
        ("segmentation", yolo_segment, "0 0.1 0.1 0.2 0.2 0.3 0.3", "the polygon has no area"),
        ("obb", yolo_obb, "0 0.1 0.1 0.9 0.1 0.9 0.9", "7 fields, but a rotated box has 9"),
        ("obb", yolo_obb, "0 0.1 0.1 0.9 0.1 0.9 0.9 nan 0.9", "'nan' is not a number"),
        ("pose", yolo_pose, "0 0.5 0.5 0.2 0.2", "5 fields, but a box with 3 key points of 3 numbers has 14"),
        ("pose", yolo_pose, "0 .5 .5 .2 .2 .1 .1 2 .1 .1 3 .1 .1 2", "key point 1 has visibility 3"),
        ("pose", yolo_pose, "0 .5 .5 .2 .2 .1 .1 2 .1 .1 2 .1 7 1", "key point 2 has y 7, which is outside 0–1"),
        ("pose", yolo_pose, "9 .5 .5 .2 .2 .1 .1 2 .1 .1 2 .1 .1 1", "class 9 is out of range 0–1"),
    ],
)
def test_a_bad_line_is_named_and_its_image_left_out(tmp_path, task, form, line, sentence):
    folder = folder_of(task, tmp_path / task)
    write(folder, "labels/train/0.txt", f"{line}\n")
    report = form.scan(folder).report()
    assert report["problems"][0].startswith(f"labels/train/0.txt line 1: {sentence}")
    assert (report["problem_count"], report["left_out"]) == (1, 1)


def test_a_key_point_that_is_not_labelled_may_lie_anywhere(tmp_path: Path) -> None:
    folder = folder_of("pose", tmp_path / "pose")
    write(folder, "labels/train/0.txt", "0 .5 .5 .2 .2 .1 .1 2 -1 -1 0 .1 .1 1\n")
    assert yolo_pose.scan(folder).report()["problems"] == []


@pytest.mark.parametrize(
    ("shape", "flip", "message"),
    [
        ("", "", "key points need kpt_shape"),
        ("kpt_shape: [3, 4]", "", "kpt_shape must be"),
        ("kpt_shape: many", "", "kpt_shape must be"),
        ("kpt_shape: [3, 3]", "flip_idx: [0, 1, 1]", "flip_idx must name each key point from 0 to 2 once"),
    ],
)
def test_key_points_that_are_not_described_are_refused(tmp_path, shape, flip, message):
    folder = folder_of("pose", tmp_path / "pose")
    write(folder, "data.yaml", f"train: images/train\nval: images/val\n{shape}\n{flip}\nnames: [a, b]\n")
    with pytest.raises(DatasetError, match=message):
        yolo_pose.scan(folder)


@pytest.mark.django_db
@pytest.mark.parametrize("task", TASKS)
def test_an_import_is_drawn_split_and_frozen(cast: SimpleNamespace, tmp_path: Path, task: str) -> None:
    dataset = dataset_import(cast.organization, task, folder_of(task, tmp_path / task), cast.owner)
    pictures = pictures_all(dataset)
    assert [len(one.classes) for one in pictures] == [1] * 12
    assert {one.split for one in pictures} == {"train", "val"}
    drawn = Image.open(BytesIO(thumbnail(dataset, pictures[0], "small")))
    coloured = task != "classification"
    assert (drawn.convert("HSV").getextrema()[1][1] > 100) is coloured  # the digits are grey, the shapes are not
    manifest = snapshot_manifest(snapshot_take(dataset))
    assert (manifest["task_type"], manifest["classes"]) == (task, ["digit 0", "digit 1"])
    assert len([file for file in manifest["files"] if file["role"] == "image"]) == 12


@pytest.mark.django_db
def test_key_points_are_kept_in_the_normal_form(cast: SimpleNamespace, tmp_path: Path) -> None:
    dataset = dataset_import(cast.organization, "pose", folder_of("pose", tmp_path / "pose"), cast.owner)
    text = external_store().get(f"{dataset.prefix}/data.yaml").decode()
    assert "task: pose\nkpt_shape: [3, 3]\nflip_idx: [0, 1, 2]\n" in text
    assert dataset.report["kpt_shape"] == [3, 3]
    shape = picture_shapes(dataset, pictures_all(dataset)[0])[0]
    assert (len(shape.points), len(shape.dots)) == (4, 3)


def test_classes_without_a_split_are_recognised_and_numbered_by_name(tmp_path: Path) -> None:
    for name in ("dog", "cat", "Ant"):
        write(tmp_path / "pets", f"{name}/deep/{name}.png", picture(20 + len(name)))
    found = image_folder.scan(tmp_path / "pets")
    assert (found.classes, found.split) == (["Ant", "cat", "dog"], {})
    assert [image.path for image in found.images][:2] == ["images/Ant/deep_Ant.png", "images/cat/deep_cat.png"]


def test_a_damaged_picture_and_a_class_without_pictures_are_named(tmp_path: Path) -> None:
    folder = folder_of("classification", tmp_path / "digits", classes=2)
    write(folder, "train/digit 0/0.png", b"hello")
    (folder / "val/nothing").mkdir()
    problems = image_folder.scan(folder).report()["problems"]
    assert "train/digit 0/0.png: this is not an image" in problems
    assert "val/nothing: there is no image of this class" in problems


def test_one_class_is_not_enough(tmp_path: Path) -> None:
    write(tmp_path / "pets", "cat/a.png", picture())
    with pytest.raises(DatasetError, match="at least two classes"):
        image_folder.scan(tmp_path / "pets")


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    outside = write(tmp_path, "secret.png", picture())
    folder = folder_of("classification", tmp_path / "digits")
    (folder / "train/digit 0/link.png").symlink_to(outside)
    report = image_folder.scan(folder).report()
    assert report["left_out"] == 1 and "links that lead out" in report["problems"][0]


@pytest.mark.django_db
def test_the_command_asks_which_it_is_and_takes_the_answer(cast, tmp_path, capsys):
    from django.core.management import CommandError, call_command

    folder = folder_of("obb", tmp_path / "boxes")
    write(folder, "data.yaml", (folder / "data.yaml").read_text().replace("task: obb\n", ""))
    said = {"name": "boxes", "organization": "ours", "json": True}
    with pytest.raises(CommandError, match="say which it is"):
        call_command("import_dataset", str(folder), **said)
    call_command("import_dataset", str(folder), task="obb", **said)
    assert Dataset.objects.get().task_type == "obb"
