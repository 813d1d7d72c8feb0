"""Importing a folder: what can be trained on arrives in normal form, or nothing is left behind."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from training.datasets.scan import DatasetError
from training.datasets.selectors import dataset_get, dataset_list
from training.datasets.services import dataset_import
from training.models import Dataset, Membership, Organization, User
from training.storage.store import external_store
from training.tests.datasets_folder import NAMES, folder_write, write

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def places(settings, tmp_path):
    settings.INTERNAL_STORAGE_URL = f"file://{tmp_path / 'internal'}"
    settings.EXTERNAL_STORAGE_URL = f"file://{tmp_path / 'external'}"
    settings.IMPORT_ROOTS = [tmp_path / "import"]


@pytest.fixture
def organization() -> Organization:
    return Organization.objects.create(name="Lab", slug="lab")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return folder_write(tmp_path / "import" / "pets")


def stored(dataset: Dataset) -> list[str]:
    return [found.key.removeprefix(f"{dataset.prefix}/") for found in external_store().list(dataset.prefix)]


def nothing_is_left(tmp_path: Path) -> bool:
    return not Dataset.objects.exists() and not [f for f in (tmp_path / "external").rglob("*") if f.is_file()]


def test_it_imports_a_yolo_folder(organization, folder):
    dataset = dataset_import(organization, "pets", folder, None)
    assert (dataset.format, dataset.task_type, dataset.classes) == ("yolo", "detection", ["cat", "dog"])
    assert dataset.split == {"images/train": "train", "images/val": "val"}
    assert stored(dataset) == [
        "data.yaml",
        *(f"images/{name}.png" for name in NAMES),
        *(f"labels/{name}.txt" for name in NAMES),
    ]


def _empty(folder: Path, names: str) -> None:
    for file in folder.glob(names):
        file.unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda top: _empty(top, "images/*/*"), "pets: there are no images in it"),
        (lambda top: _empty(top, "images/val/*"), "pets: the split val is empty"),
        (lambda top: _empty(top, "images/train/*"), "pets: the split train is empty"),
        (lambda top: _empty(top, "labels/*/*"), "pets: no image has a label that can be used"),
        (lambda top: _empty(top, "labels/val/*"), "no image of the split val has a label"),
        (lambda top: write(top, "data.yaml", "train: images/train\nnames: [a]"), "there is no folder images/val"),
        (
            lambda top: [write(top, f"images/{name}.png", "no") for name in NAMES],
            "none of the 4 images can be used. Problems: images/train/a.png: this is not an image",
        ),
        (
            lambda top: [write(top, f"labels/{name}.txt", "9") for name in NAMES],
            "none of the 4 images can be used. Problems: labels/train/a.txt line 1",
        ),
    ],
)
def test_what_can_not_be_trained_on_is_refused_and_leaves_nothing(organization, folder, tmp_path, spoil, message):
    spoil(folder)
    with pytest.raises(DatasetError, match=message) as refusal:
        dataset_import(organization, "pets", folder, None)
    assert refusal.value.report["format"] == "yolo"
    assert nothing_is_left(tmp_path)


def test_a_folder_must_lie_in_the_import_roots(organization, folder, tmp_path, settings):
    settings.IMPORT_ROOTS = [tmp_path / "elsewhere"]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link").symlink_to(folder)
    for place in (folder, tmp_path / "elsewhere/../import/pets", tmp_path / "elsewhere/link", Path("/nowhere")):
        with pytest.raises(DatasetError, match="there is no such folder below one of IMPORT_ROOTS"):
            dataset_import(organization, "pets", place, None)
    assert dataset_import(organization, "pets", folder, None, anywhere=True).pk


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "pets/data.yaml"])
def test_what_is_no_folder_is_refused(organization, folder, name):
    with pytest.raises(DatasetError):
        dataset_import(organization, "pets", folder.parent / name, None)


def test_a_disk_that_fails_is_told(organization, folder, tmp_path, monkeypatch):
    def fails(folder, progress=None):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("training.datasets.formats.yolo.scan", fails)
    with pytest.raises(DatasetError, match="pets can't be read: Input/output error"):
        dataset_import(organization, "pets", folder, None)
    assert nothing_is_left(tmp_path)


def test_a_folder_of_no_known_format_is_refused_with_what_is_known(organization, folder):
    with pytest.raises(DatasetError, match=r"no known dataset format was recognised. Known: .*YOLO"):
        dataset_import(organization, "pets", folder / "labels", None)


def test_a_name_is_taken_once_in_an_organization(organization, folder, tmp_path):
    dataset = dataset_import(organization, "pets", folder, None)
    with pytest.raises(DatasetError, match="already a dataset called pets"):
        dataset_import(organization, " pets ", folder, None)
    other = Organization.objects.create(name="Other", slug="other")
    assert dataset_import(other, "pets", folder, None).prefix != dataset.prefix
    with pytest.raises(DatasetError, match="needs a name"):
        dataset_import(organization, "  ", folder, None)


def test_two_imports_of_one_name_at_once_leave_one(organization, folder, tmp_path, monkeypatch):
    first = dataset_import(organization, "pets", folder, None)
    monkeypatch.setattr("training.datasets.services.name_checked", lambda organization, name: name)
    with pytest.raises(DatasetError, match="already a dataset called pets"):
        dataset_import(organization, "pets", folder, None)
    assert {path.name for path in (tmp_path / "external/datasets").iterdir()} == {first.prefix.split("/")[1]}


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_import_that_breaks_off_leaves_nothing(organization, folder, tmp_path, monkeypatch, failure):
    store, put = external_store(), external_store().put

    def fails_at_the_end(key, source, **rest):
        if key.endswith("val/d.png"):
            raise failure
        return put(key, source, **rest)

    monkeypatch.setattr(store, "put", fails_at_the_end)
    with pytest.raises((DatasetError, KeyboardInterrupt)):
        dataset_import(organization, "pets", folder, None)
    assert nothing_is_left(tmp_path)


def test_progress_is_told_for_checking_and_copying(organization, folder):
    told = []
    dataset_import(organization, "pets", folder, None, lambda *step: told.append(step))
    assert told[0] == ("Checking", 0, 4)
    assert told[-1] == ("Copying", 9, 9)


def test_people_see_the_datasets_of_their_organizations_only(organization, folder):
    dataset = dataset_import(organization, "pets", folder, None)
    owner, stranger = (User.objects.create_user(name) for name in ("owner", "stranger"))
    Membership.objects.create(user=owner, organization=organization)
    assert list(dataset_list(owner)) == [dataset]
    assert list(dataset_list(stranger)) == []
    with pytest.raises(Dataset.DoesNotExist):
        dataset_get(stranger, dataset.pk)


def test_the_command_imports_from_anywhere_and_prints_a_table(organization, folder, settings, capsys):
    settings.IMPORT_ROOTS = []
    out = StringIO()
    call_command("import_dataset", folder, name="pets", organization="lab", stdout=out)
    assert out.getvalue() == f"Imported as dataset {Dataset.objects.get().pk}: pets\n"
    printed = capsys.readouterr().out
    assert "What was found" in printed
    assert "No problems." in printed


def test_the_command_prints_json_alone(organization, folder):
    out = StringIO()
    call_command("import_dataset", folder, name="pets", organization="lab", json=True, stdout=out)
    assert json.loads(out.getvalue())["instances"] == 4


def test_the_command_fails_with_a_clear_message(organization, folder, capsys):
    with pytest.raises(CommandError, match=r"There is no organization 'nobody'\. Known: lab\."):
        call_command("import_dataset", folder, name="pets", organization="nobody")
    _empty(folder, "images/val/*")
    with pytest.raises(CommandError, match="the split val is empty"):
        call_command("import_dataset", folder, name="pets", organization="lab")
    assert "no image belongs to this label file" in capsys.readouterr().err
