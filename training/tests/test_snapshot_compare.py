"""Two snapshots side by side: what came, went, changed and moved, and how many objects of each class there are."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from training.datasets.difference import ClassChange, snapshot_difference
from training.datasets.services import dataset_edit, dataset_import
from training.datasets.snapshot import snapshot_manifest, snapshot_take
from training.jobs.validation import jobs_validate
from training.models import Dataset, JobState
from training.storage.store import external_store
from training.tests.conftest import job_make
from training.tests.datasets_folder import folder_write, picture, write
from training.tests.rest_program import Program
from training.tests.test_pages import browser, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset(cast: SimpleNamespace, tmp_path: Path) -> Dataset:
    return dataset_import(cast.organization, "pets", folder_write(tmp_path / "pets"), None)


def test_files_that_came_went_changed_and_moved(dataset: Dataset) -> None:
    before = snapshot_take(dataset)
    store = external_store()
    store.put(f"{dataset.prefix}/images/train/새 것.png", picture(30))
    store.delete(f"{dataset.prefix}/images/val/d.png")
    store.put(f"{dataset.prefix}/labels/train/a.txt", b"1 0.5 0.5 0.2 0.3\n")
    after = snapshot_take(dataset)
    found = snapshot_difference(before, after)
    assert found.added.paths == ["images/train/새 것.png"] and found.changed.paths == ["labels/train/a.txt"]
    assert "images/val/d.png" in found.removed.paths and not found.moved.count and not found.same
    back = snapshot_difference(after, before)
    assert (back.added.paths, back.removed.paths) == (found.removed.paths, found.added.paths)
    assert snapshot_difference(before, before).same


def test_classes_and_objects_of_two_datasets(cast: SimpleNamespace, dataset: Dataset, tmp_path: Path) -> None:
    folder = folder_write(tmp_path / "other")
    write(folder, "data.yaml", "train: images/train\nval: images/val\nnames: [cat, 새]\n")
    write(folder, "labels/train/a.txt", "0 0.5 0.5 0.2 0.2\n1 0.5 0.5 0.2 0.2\n")
    other = dataset_import(cast.organization, "other", folder, None)
    found = snapshot_difference(snapshot_take(dataset), snapshot_take(other))
    assert found.classes == [ClassChange("cat", 4, 4), ClassChange("새", None, 1), ClassChange("dog", 0, None)]
    assert found.added.count == found.removed.count == 0 and "labels/train/a.txt" in found.changed.paths


def test_the_page_shows_it_and_the_dataset_leads_there(cast: SimpleNamespace, dataset: Dataset) -> None:
    before = snapshot_take(dataset)
    dataset_edit(dataset, "pets", "", {"train": 0.5, "val": 0.5, "seed": 11})
    after = snapshot_take(dataset)
    guest, place = browser(cast.teammate), f"/snapshots/{before.pk}/to/{after.pk}/"
    assert place in text_of(guest, f"/datasets/{dataset.pk}/")
    page = text_of(guest, place)
    assert "Moved to another split" in page and "/pictures/" in page and ">11<" in page
    assert "same files in the same splits" in text_of(guest, f"/snapshots/{after.pk}/to/{after.pk}/")
    assert browser(cast.stranger).get(place).status_code == 404


def test_a_split_of_ones_own_is_kept_with_the_dataset_and_its_seed_with_the_snapshot(
    cast: SimpleNamespace, dataset: Dataset, program: Program
) -> None:
    place = f"/api/v1/training/datasets/{dataset.pk}"
    split = {"train": 0.5, "val": 0.5, "test": 0, "seed": 7, "stratify": True, "group": ""}
    answer = program.client.patch(place, {"split": split}, content_type="application/json")
    assert answer.status_code == 200 and answer.json()["split_config"] == split
    assert (
        program.client.patch(place, {"name": "pets"}, content_type="application/json").json()["split_config"] == split
    )
    dataset.refresh_from_db()
    taken = snapshot_take(dataset)
    assert taken.split_seed == 7 and taken.split_counts == {"train": 2, "val": 2}
    refused = program.client.patch(place, {"split": {"train": 2}}, content_type="application/json")
    assert refused.status_code == 422
    owner = browser(cast.owner)
    assert 'value="7"' in text_of(owner, f"/datasets/{dataset.pk}/edit/")
    said = {"name": "pets", "description": "", "val": "25", "test": "", "seed": "3", "group": "(.*)"}
    wrong = owner.post(f"/datasets/{dataset.pk}/edit/", said)
    assert wrong.status_code == 422 and "Images are kept together by" in wrong.content.decode()
    owner.post(f"/datasets/{dataset.pk}/edit/", said | {"group": "folder"})
    dataset.refresh_from_db()
    assert dataset.split_config == {
        "train": 0.75,
        "val": 0.25,
        "test": 0,
        "seed": 3,
        "group": "folder",
        "stratify": True,
    }
    parts = {file["path"]: file["split"] for file in snapshot_manifest(snapshot_take(dataset))["files"]}
    assert parts["images/train/a.png"] == parts["images/train/b.png"] != parts["images/val/c.png"]
    owner.post(f"/datasets/{dataset.pk}/edit/", {"name": "pets", "description": ""})
    dataset.refresh_from_db()
    assert dataset.split_config == {}


def test_data_that_changed_stop_a_job_and_are_named(cast: SimpleNamespace, dataset: Dataset) -> None:
    job = job_make(cast, dataset=dataset, snapshot=snapshot_take(dataset), trainer="example", model_name="halving")
    store = external_store()
    store.delete(f"{dataset.prefix}/images/val/d.png")
    store.put(f"{dataset.prefix}/labels/train/a.txt", b"1 0.5 0.5 0.2 0.2\n")
    store.put(f"{dataset.prefix}/images/train/b.png", picture(90, 90))
    same_size = store.get(f"{dataset.prefix}/images/val/c.png")
    store.put(f"{dataset.prefix}/images/val/c.png", same_size[:-1] + bytes([same_size[-1] ^ 1]))
    assert jobs_validate() == 1
    job.refresh_from_db()
    assert (job.state, job.error_type) == (JobState.FAILED, "DATASET_ERROR")
    for name in ("images/val/d.png: the file is missing", "labels/train/a.txt: the file's content has changed"):
        assert name in job.error_message
    assert "images/train/b.png: the file has" in job.error_message
    assert "images/val/c.png: the file's content has changed" in job.error_message


def test_two_jobs_side_by_side_lead_to_what_differs_in_their_data(cast: SimpleNamespace, dataset: Dataset) -> None:
    before = job_make(cast, dataset=dataset, snapshot=snapshot_take(dataset))
    same = job_make(cast, dataset=dataset, snapshot=before.snapshot)
    dataset_edit(dataset, "pets", "", {"train": 0.5, "val": 0.5, "seed": 11})
    after = job_make(cast, dataset=dataset, snapshot=snapshot_take(dataset))
    guest = browser(cast.teammate)
    place = f"/snapshots/{before.snapshot_id}/to/{after.snapshot_id}/"
    assert place in text_of(guest, f"/compare/?jobs={before.pk},{after.pk}")
    assert "/snapshots/" not in text_of(guest, f"/compare/?jobs={before.pk},{same.pk}")
