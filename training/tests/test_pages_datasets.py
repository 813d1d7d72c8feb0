"""The pages of datasets: report, gallery, pictures with labels drawn, deletion; and who may see and do what."""

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from PIL import Image

from training.datasets.pictures import pictures_all, pictures_find
from training.datasets.services import DatasetInUse, dataset_delete, dataset_import
from training.datasets.snapshot import snapshot_take
from training.imports.removals import removals_work
from training.models import Dataset, Role, StoredRemoval
from training.storage.store import external_store, internal_store
from training.tests.conftest import job_make, person
from training.tests.datasets_folder import folder_write, picture, write
from training.tests.test_pages import EVIL, browser, text_of

pytestmark = pytest.mark.django_db
KOREAN = "병 검사 데이터"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two cats, and a dog on train/b; one label file holds a mistake."""
    top = folder_write(tmp_path / "pets")
    write(top, "labels/train/b.txt", "0 0.5 0.5 0.2 0.2\n1 0.3 0.3 0.2 0.2\n")
    write(top, "images/train/e.png", picture(30))
    write(top, "labels/train/e.txt", "7 0.5 0.5 0.2 0.2\n")
    return top


@pytest.fixture
def dataset(cast: SimpleNamespace, folder: Path) -> Dataset:
    return dataset_import(cast.organization, "pets", folder, cast.owner)


def page_of(dataset: Dataset, query: str = "") -> str:
    return reverse("dataset-page", args=[dataset.pk]) + query


def shown(page: str) -> int:
    """How many pictures the gallery shows; those that were left out come after it."""
    return page.partition('id="left-out"')[0].count("<img src=")


def picture_of(dataset: Dataset, number: int = 0, query: str = "") -> str:
    return reverse("dataset-picture", args=[dataset.pk, number]) + query


def drawn(client: Client, address: str) -> Image.Image:
    response = client.get(address)
    assert response.status_code == 200 and response["Content-Type"] == "image/jpeg"
    return Image.open(BytesIO(response.content))


def files_left() -> Iterator[Any]:
    for store in (external_store(), internal_store()):
        for top in ("datasets", "snapshots", "pictures"):
            yield from store.list(top)


def test_the_list_tells_what_there_is(cast: SimpleNamespace, dataset: Dataset) -> None:
    page = text_of(browser(cast.teammate), "/datasets/")
    assert f'href="{page_of(dataset)}"' in page and "detection" in page and "owner" in page
    assert "pets" not in text_of(browser(cast.stranger), "/datasets/")


def test_an_empty_list_says_how_to_import(cast: SimpleNamespace) -> None:
    assert "--organization ours" in text_of(browser(cast.owner), "/datasets/")
    assert "not a member of an organization" in text_of(browser(person("alone")), "/datasets/")


def test_the_page_shows_the_report_of_the_import(cast: SimpleNamespace, dataset: Dataset) -> None:
    page = text_of(browser(cast.teammate), page_of(dataset))
    assert "labels/train/e.txt line 1: class 7 is out of range" in page
    assert re.search(r'<meter min="0" max="4" value="4" aria-label="4 objects">', page)
    assert re.search(r"<dt>for train</dt><dd>2</dd>", page) and "<dt>Left out</dt><dd>1</dd>" in page


def test_jobs_and_snapshots_are_listed(cast: SimpleNamespace, dataset: Dataset) -> None:
    snapshot = snapshot_take(dataset)
    job_make(cast, dataset=dataset, snapshot=snapshot, name="Trained on it")
    page = text_of(browser(cast.teammate), page_of(dataset))
    assert "Trained on it" in page and snapshot.version_hash[:12] in page


@pytest.mark.parametrize(
    ("query", "count"),
    [("", 4), ("?split=val", 2), ("?class=1", 1), ("?class=1&split=val", 0), ("?class=x&split=evil&page=99", 4)],
)
def test_the_gallery_is_filtered(cast: SimpleNamespace, dataset: Dataset, query: str, count: int) -> None:
    assert shown(text_of(browser(cast.teammate), page_of(dataset, query))) == count


def test_the_gallery_has_pages(cast: SimpleNamespace, folder: Path) -> None:
    for number in range(30):
        write(folder, f"images/train/n{number}.png", picture(40 + number))
        write(folder, f"labels/train/n{number}.txt", "1 0.5 0.5 0.2 0.2\n")
    dataset, owner = dataset_import(cast.organization, "many", folder, None), browser(cast.owner)
    page = text_of(owner, page_of(dataset, "?class=1"))
    assert shown(page) == 24 and 'href="?class=1&amp;page=2"' in page
    assert shown(text_of(owner, page_of(dataset, "?class=1&page=2"))) == 7


def test_the_gallery_alone_is_asked_by_its_filter(cast: SimpleNamespace, dataset: Dataset) -> None:
    response = browser(cast.owner).get(page_of(dataset, "?class=1"), headers={"HX-Request": "true"})
    assert b"<html" not in response.content and response.content.count(b"<img src=") == 1
    back = {"HX-Request": "true", "HX-History-Restore-Request": "true"}
    assert b"<html" in browser(cast.owner).get(page_of(dataset, "?class=1"), headers=back).content


def test_a_picture_comes_with_its_boxes_in_the_colours_of_the_page(cast: SimpleNamespace, dataset: Dataset) -> None:
    number = next(one.number for one in pictures_all(dataset) if one.path == "images/train/b.png")
    image = drawn(browser(cast.teammate), picture_of(dataset, number))
    assert image.width == 320
    red, _, blue = image.getpixel((round(0.4 * image.width), round(0.5 * image.height)))  # type: ignore[misc]
    assert blue > 150 > red  # the left side of the cat's box: #4c7dff


def test_a_larger_picture_is_drawn_on_wish(cast: SimpleNamespace, dataset: Dataset) -> None:
    assert drawn(browser(cast.teammate), picture_of(dataset, 0, "?size=large")).width == 1280


def test_a_picture_is_drawn_once_and_kept(cast: SimpleNamespace, dataset: Dataset) -> None:
    teammate, address = browser(cast.teammate), picture_of(dataset)
    first = teammate.get(address).content
    external_store().delete_all(f"{dataset.prefix}/images")
    assert teammate.get(address).content == first
    assert teammate.get(picture_of(dataset, 1)).status_code == 404


def test_a_picture_is_turned_as_its_camera_was(cast: SimpleNamespace, folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = BytesIO()
    Image.new("RGB", (64, 32)).save(file, "JPEG", exif=exif)
    write(folder, "images/train/a.jpg", file.getvalue())
    (folder / "images/train/a.png").unlink()
    dataset = dataset_import(cast.organization, "turned", folder, None)
    image = drawn(browser(cast.owner), picture_of(dataset))
    assert (image.width, image.height) == (160, 320) and not image.getexif()


@pytest.mark.parametrize("content", [b"GIF", b"\xff\xd8\xff", picture(20, 16, "GIF")])
def test_a_file_that_became_no_image_is_not_found(cast: SimpleNamespace, dataset: Dataset, content: bytes) -> None:
    external_store().put(f"{dataset.prefix}/images/train/a.png", content)
    assert browser(cast.owner).get(picture_of(dataset)).status_code == 404


def test_a_bomb_is_not_opened(cast: SimpleNamespace, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.datasets.shrinking.MAX_PIXELS", 100)
    assert browser(cast.owner).get(picture_of(dataset)).status_code == 404


@pytest.mark.parametrize("label", ["0 nan inf 1 1", "0 9e99 0 9e99 1", "x", "0 1", "0 .1 .1 .5 .1 .5 .5", "\xff\xfe"])
def test_labels_that_became_strange_break_no_picture(cast: SimpleNamespace, dataset: Dataset, label: str) -> None:
    external_store().put(f"{dataset.prefix}/labels/train/a.txt", label.encode("latin-1"))
    assert drawn(browser(cast.owner), picture_of(dataset)).width == 320


def test_pictures_are_for_those_who_see_the_dataset(cast: SimpleNamespace, dataset: Dataset, client: Client) -> None:
    assert client.get(picture_of(dataset)).status_code == 401
    assert browser(cast.stranger).get(picture_of(dataset)).status_code == 404
    assert browser(cast.owner).get(picture_of(dataset, 99)).status_code == 404
    assert browser(cast.owner).get(picture_of(dataset, 10**18)).status_code == 404


@pytest.mark.parametrize("name", ["dataset-page", "dataset-delete"])
def test_a_strangers_dataset_is_no_different_from_none(cast: SimpleNamespace, dataset: Dataset, name: str) -> None:
    stranger = browser(cast.stranger)
    for number in (dataset.pk, 10**18):
        address = reverse(name, args=[number])
        assert (stranger.post if name == "dataset-delete" else stranger.get)(address).status_code == 404
    assert Dataset.objects.exists()


def test_deleting_leaves_nothing_once_a_maintenance_worker_has_looked(cast: SimpleNamespace, dataset: Dataset) -> None:
    snapshot_take(dataset)
    owner = browser(cast.owner)
    owner.get(picture_of(dataset))
    page = owner.post(reverse("dataset-delete", args=[dataset.pk]), follow=True).content.decode()
    assert "pets was deleted." in page and not Dataset.objects.exists() and list(files_left())
    assert owner.get(page_of(dataset)).status_code == 404
    assert removals_work(Event()) and not list(files_left()) and not StoredRemoval.objects.exists()


def test_a_removal_goes_on_where_it_was_left(cast: SimpleNamespace, dataset: Dataset) -> None:
    dataset_delete(dataset)
    ending = Event()
    ending.set()
    assert not removals_work(ending) and not removals_work(Event(), seconds=-1) and list(files_left())
    assert removals_work(Event()) and not list(files_left())


def test_a_store_that_is_away_is_asked_again(
    cast: SimpleNamespace, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_delete(dataset)
    with monkeypatch.context() as away:
        away.setattr("training.storage.local.LocalStore.delete", lambda *_: (_ for _ in ()).throw(OSError("away")))
        assert not removals_work(Event())
    assert StoredRemoval.objects.filter(tries=1).exists() and removals_work(Event()) and not list(files_left())


def test_a_dataset_gets_another_name_and_a_description(cast: SimpleNamespace, dataset: Dataset) -> None:
    owner, place = browser(cast.owner), f"/datasets/{dataset.pk}/edit/"
    owner.post(place, {"name": "동물", "description": "From <b>line 3</b>\nAt night"})
    page = text_of(owner, page_of(dataset))
    assert "<h1>동물</h1>" in page and "From &lt;b&gt;line 3&lt;/b&gt;<br>At night" in page
    Dataset.objects.create(organization=cast.organization, name="taken")
    response = owner.post(place, {"name": "taken", "description": ""})
    assert response.status_code == 422 and "already a dataset called taken" in response.content.decode()


def test_the_list_is_searched_and_tells_sizes(cast: SimpleNamespace, dataset: Dataset) -> None:
    Dataset.objects.create(
        organization=cast.organization, name="Cans", description="night shift", total_bytes=3_000_000
    )
    owner = browser(cast.owner)
    assert "Cans" in text_of(owner, "/datasets/?q=NIGHT+can") and "pets" not in text_of(owner, "/datasets/?q=night")
    assert "No dataset has these words" in text_of(owner, "/datasets/?q=x%27%25")
    assert "2.9\xa0MB" in text_of(owner, "/datasets/") and dataset.total_bytes


def test_a_dataset_that_jobs_need_is_kept(cast: SimpleNamespace, dataset: Dataset) -> None:
    job_make(cast, dataset=dataset, snapshot=snapshot_take(dataset))
    page = browser(cast.owner).post(reverse("dataset-delete", args=[dataset.pk]), follow=True).content.decode()
    assert "was not deleted: a job needs it" in page and dataset.snapshots.count() == 1
    with pytest.raises(DatasetInUse):
        dataset_delete(dataset)
    assert pictures_find(dataset, "train", 1)


@pytest.mark.parametrize(
    ("role", "own", "status"),
    [
        (Role.GUEST, False, 403),
        (Role.STANDARD_ENGINEER, True, 403),
        (Role.ADVANCED_ENGINEER, False, 403),
        (Role.ADVANCED_ENGINEER, True, 302),
        (Role.MANAGER, False, 302),
    ],
)
def test_deleting_follows_the_role(cast: SimpleNamespace, dataset: Dataset, role: Role, own: bool, status: int) -> None:
    member = person("member", cast.organization, role)
    if own:
        Dataset.objects.update(created_by=member)
    assert ("Delete dataset" in text_of(browser(member), page_of(dataset))) is (status == 302)
    assert browser(member).post(reverse("dataset-delete", args=[dataset.pk])).status_code == status


def test_names_of_others_do_nothing_in_the_pages(cast: SimpleNamespace, dataset: Dataset) -> None:
    problems = {"problems": [EVIL, KOREAN * 100], "problem_count": 2}
    report = dataset.report | problems | {"classes": [{"name": EVIL, "instances": {"train": 1}}]}
    Dataset.objects.update(name=EVIL, classes=[EVIL, KOREAN], report=report, task_type=EVIL[:30])
    job_make(cast, dataset=dataset, name=EVIL)
    for address in ("/datasets/", page_of(dataset)):
        page = text_of(browser(cast.owner), address)
        assert "<img src=x" not in page and 'hx-get="/evil' not in page
    assert KOREAN in page


def test_the_page_has_no_inline_scripts_or_styles(cast: SimpleNamespace, dataset: Dataset) -> None:
    page = text_of(browser(cast.owner), page_of(dataset))
    assert not re.search(r"<script(?![^>]*\bsrc=)", page) and not re.search(r"\s(style|on\w+)=", page)


def test_the_pages_need_few_queries(cast: SimpleNamespace, dataset: Dataset) -> None:
    snapshot, owner = snapshot_take(dataset), browser(cast.owner)
    for number in range(20):
        job_make(cast, dataset=dataset, snapshot=snapshot, name=f"job {number}")
        Dataset.objects.create(organization=cast.organization, name=f"d{number}", created_by=cast.owner)
    for address in ("/datasets/", page_of(dataset)):
        with CaptureQueriesContext(connection) as queries:
            text_of(owner, address)
        assert len(queries) <= 25
