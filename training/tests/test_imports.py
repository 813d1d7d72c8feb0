"""Imports by a worker: asked for on a page, run, told, cancelled, given back, lost and found; from allowed folders."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from training.datasets.scan import DatasetError
from training.datasets.services import dataset_import
from training.imports import work
from training.imports.folders import folders_in
from training.imports.removals import removals_work
from training.imports.services import import_ask, import_cancel
from training.imports.work import Stopped, Telling, import_claim, import_run, imports_reap
from training.jobs.clock import now_plus
from training.jobs.transition import NotAllowed
from training.models import AuditEntry, Dataset, DatasetImport, ImportState, Membership, Role
from training.tests.conftest import person
from training.tests.datasets_folder import folder_write, write
from training.tests.test_pages import EVIL, browser, text_of

pytestmark = pytest.mark.django_db
GOING = threading.Event()


@pytest.fixture(autouse=True)
def every_step_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "TELL_SECONDS", 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return folder_write(tmp_path / "pets")


@pytest.fixture
def asked(cast: SimpleNamespace, folder: Path) -> DatasetImport:
    return import_ask(cast.organization, "pets", str(folder), cast.owner)


def run(asked: DatasetImport) -> DatasetImport:
    claimed = import_claim()
    assert claimed and claimed.pk == asked.pk
    import_run(claimed, GOING)
    asked.refresh_from_db()
    return asked


def files_left(tmp_path: Path) -> list[Path]:
    return [one for one in (tmp_path / "external").rglob("*") if one.is_file()]


def during(monkeypatch: pytest.MonkeyPatch, does: Any) -> None:
    """Let something happen while files are being copied."""
    told = Telling.__call__

    def telling(self: Telling, stage: str, done: int, total: int) -> None:
        if stage == "Copying" and done == 3:
            does()
        told(self, stage, done, total)

    monkeypatch.setattr(Telling, "__call__", telling)


def test_it_makes_a_dataset_and_keeps_the_report(cast: SimpleNamespace, asked: DatasetImport) -> None:
    assert run(asked).state == ImportState.COMPLETED and asked.report["images"] == 4 and asked.ended_at
    dataset = Dataset.objects.get()
    assert asked.dataset == dataset and dataset.created_by == cast.owner and dataset.total_bytes


def test_what_cannot_be_trained_on_fails_with_the_report(cast: SimpleNamespace, folder: Path, tmp_path: Path) -> None:
    for label in folder.rglob("*.txt"):
        label.write_text("nonsense\n")
    asked = run(import_ask(cast.organization, "", str(folder), cast.owner))
    assert asked.state == ImportState.FAILED and asked.report["problem_count"] and "can be used" in asked.error
    assert not Dataset.objects.exists() and not files_left(tmp_path)


def doubtful(top: Path) -> Path:
    """A folder whose labels are quadrilaterals: outlines, or boxes that are turned."""
    folder_write(top)
    for label in top.rglob("*.txt"):
        label.write_text("0 0.2 0.2 0.6 0.25 0.55 0.7 0.15 0.6\n")
    return top


def test_a_folder_in_doubt_is_asked_back_and_read_as_a_person_says(cast: SimpleNamespace, tmp_path: Path) -> None:
    top, owner = doubtful(tmp_path / "tilted"), browser(cast.owner)
    asked = run(import_ask(cast.organization, "tilted", str(top), cast.owner))
    choices = [one["format"] for one in asked.report["candidates"]]
    assert asked.state == ImportState.FAILED and choices == ["yolo_obb", "yolo_segment"]
    page = text_of(owner, f"/imports/{asked.pk}/")
    assert "Which is it?" in page and 'name="format" value="yolo_obb"' in page and "--task" not in page
    said = {"organization": cast.organization.pk, "folder": str(top), "name": "tilted", "format": "yolo_obb"}
    again = DatasetImport.objects.get(pk=int(owner.post("/datasets/import/", said)["Location"].split("/")[2]))
    assert run(again).state == ImportState.COMPLETED and Dataset.objects.get().task_type == "obb"
    guest = browser(cast.teammate)
    assert "Which is it?" in text_of(guest, f"/imports/{asked.pk}/") and "yolo_obb" not in text_of(
        guest, f"/imports/{asked.pk}/"
    )


def test_format_and_task_can_be_said_from_the_beginning(cast: SimpleNamespace, tmp_path: Path) -> None:
    top = doubtful(tmp_path / "tilted")
    asked = import_ask(cast.organization, "a", str(top), cast.owner, task_type="segmentation")
    assert run(asked).dataset.task_type == "segmentation"
    with pytest.raises(ValidationError, match="There is no format papyrus"):
        import_ask(cast.organization, "b", str(top), cast.owner, format_name="papyrus")
    said = {"organization": cast.organization.pk, "folder": str(top), "format": "yolo_obb", "task": "pose"}
    refused = browser(cast.owner).post("/datasets/import/", said)
    assert refused.status_code == 422 and "yolo_obb is not for pose" in refused.content.decode()
    assert AuditEntry.objects.filter(action="dataset_import.ask").count() == 1


def test_a_break_of_our_own_is_a_failure_and_no_riddle(
    asked: DatasetImport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    during(monkeypatch, lambda: 1 / 0)
    assert run(asked).state == ImportState.FAILED and asked.error == work.BROKEN and not files_left(tmp_path)


def test_asked_for_twice_it_is_one(cast: SimpleNamespace, asked: DatasetImport, tmp_path: Path) -> None:
    again = import_ask(cast.organization, "pets", str(tmp_path / "pets"), cast.owner)
    assert again.pk == asked.pk and DatasetImport.objects.count() == 1


def test_another_folder_under_a_name_on_its_way_is_refused_at_the_name(
    cast: SimpleNamespace, asked: DatasetImport, tmp_path: Path
) -> None:
    with pytest.raises(ValidationError) as refused:
        import_ask(cast.organization, "pets", str(folder_write(tmp_path / "other")), cast.owner)
    assert "on its way" in refused.value.message_dict["name"][0]


def test_a_name_taken_while_it_ran_fails_and_leaves_nothing(
    cast: SimpleNamespace, asked: DatasetImport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    during(monkeypatch, lambda: Dataset.objects.get_or_create(organization=cast.organization, name="pets"))
    assert run(asked).state == ImportState.FAILED and "already a dataset" in asked.error and not files_left(tmp_path)


def test_one_that_waits_is_cancelled_at_once_and_never_runs(asked: DatasetImport) -> None:
    assert import_cancel(asked).state == ImportState.CANCELLED and import_claim() is None
    assert import_cancel(asked).state == ImportState.CANCELLED


def test_one_that_runs_is_cancelled_on_the_way_and_leaves_nothing(
    asked: DatasetImport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    during(monkeypatch, lambda: import_cancel(asked))
    assert run(asked).state == ImportState.CANCELLED and not Dataset.objects.exists() and not files_left(tmp_path)


def test_one_that_has_ended_is_not_cancelled(asked: DatasetImport) -> None:
    run(asked)
    with pytest.raises(NotAllowed):
        import_cancel(asked)


def test_a_worker_that_ends_gives_it_back(
    asked: DatasetImport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ending = threading.Event()
    during(monkeypatch, ending.set)
    claimed = import_claim()
    assert claimed
    import_run(claimed, ending)
    asked.refresh_from_db()
    assert asked.state == ImportState.QUEUED and not files_left(tmp_path)
    monkeypatch.undo()


def test_one_whose_worker_is_gone_runs_again_and_its_files_are_removed(asked: DatasetImport, tmp_path: Path) -> None:
    lost = import_claim()
    assert lost
    dropped = write(tmp_path / "external", f"{lost.prefix}/images/a.png", b"half")
    DatasetImport.objects.update(lease_until=now_plus(-1))
    imports_reap()
    assert removals_work(GOING) and not dropped.exists()
    assert run(asked).state == ImportState.COMPLETED and asked.attempt == 2


def test_one_that_is_lost_three_times_fails(asked: DatasetImport) -> None:
    for _ in range(3):
        assert import_claim()
        DatasetImport.objects.update(lease_until=now_plus(-1))
        imports_reap()
    asked.refresh_from_db()
    assert asked.state == ImportState.FAILED and "lost, 3 times" in asked.error


def test_a_worker_that_was_thought_gone_makes_nothing_any_more(
    asked: DatasetImport, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = import_claim()
    assert late
    DatasetImport.objects.update(lease_until=now_plus(-1))
    imports_reap()
    assert run(asked).state == ImportState.COMPLETED
    telling = Telling(late, GOING)
    with pytest.raises(Stopped):
        telling("Copying", 1, 2)
    with pytest.raises(Stopped):
        telling.made(Dataset.objects.get())
    asked.refresh_from_db()
    assert asked.state == ImportState.COMPLETED and Dataset.objects.count() == 1


def test_a_claim_is_won_once(asked: DatasetImport) -> None:
    assert import_claim() and import_claim() is None


def test_progress_is_written_and_shown(cast: SimpleNamespace, asked: DatasetImport) -> None:
    claimed = import_claim()
    assert claimed
    Telling(claimed, GOING)("Checking", 30, 120)
    page = text_of(browser(cast.teammate), f"/imports/{asked.pk}/")
    assert "Checking files: 30 of 120 · 25 %" in page and 'value="25"' in page and "every 1s" in page


@pytest.mark.parametrize("folder", ["/etc", "/", "..", "/nowhere", "a\x00b", "x" * 5000, "", "   "])
def test_a_folder_that_is_not_allowed_is_refused_like_one_that_is_not_there(cast: SimpleNamespace, folder: str) -> None:
    with pytest.raises(ValidationError) as refused:
        import_ask(cast.organization, "x", folder, cast.owner)
    assert "folder" in refused.value.message_dict and not DatasetImport.objects.exists()


def test_a_link_that_leads_out_is_neither_shown_nor_followed(cast: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("/etc")
    assert "out" not in [one.name for one in folders_in(str(tmp_path)).folders]
    with pytest.raises(ValidationError):
        import_ask(cast.organization, "x", str(tmp_path / "out"), cast.owner)
    with pytest.raises(DatasetError):
        folders_in(str(tmp_path / "out"))


def test_folders_are_looked_through_from_the_roots(folder: Path, tmp_path: Path, settings: Any) -> None:
    assert folders_in("").path == str(tmp_path)
    settings.IMPORT_ROOTS = [tmp_path, folder, tmp_path / "missing"]
    assert [one.path for one in folders_in("").folders] == [str(tmp_path), str(folder)]
    (pets,) = [one for one in folders_in(str(tmp_path)).folders if one.name == "pets"]
    assert pets.recognised and folders_in(str(folder / "images")).parent == str(folder)
    assert folders_in(str(tmp_path)).parent == ""


def test_the_page_asks_for_an_import_and_shows_what_came_of_it(cast: SimpleNamespace, folder: Path) -> None:
    owner = browser(cast.owner)
    assert "looks like a dataset" in text_of(owner, f"/datasets/import/?folder={folder}")
    said = {"organization": cast.organization.pk, "folder": str(folder), "name": ""}
    place = owner.post("/datasets/import/", said)["Location"]
    assert owner.post("/datasets/import/", said)["Location"] == place
    assert "Waiting for a maintenance worker" in text_of(owner, place) and "pets" in text_of(owner, "/datasets/")
    run(DatasetImport.objects.get())
    page = text_of(owner, place)
    assert "Train on this" in page and "What was found" in page and "every 1s" not in page


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("folder", "/etc", "there is no such folder"),
        ("folder", "", "Choose a folder."),
        ("name", "x" * 300, "at most 120"),
        ("organization", "x", "Select a valid choice"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    cast: SimpleNamespace, folder: Path, field: str, value: str, said: str
) -> None:
    form = {"organization": cast.organization.pk, "folder": str(folder), "name": "x"} | {field: value}
    response = browser(cast.owner).post("/datasets/import/", form)
    assert response.status_code == 422 and said in response.content.decode() and not DatasetImport.objects.exists()


def test_a_name_with_html_is_shown_as_text(cast: SimpleNamespace, folder: Path) -> None:
    asked = run(import_ask(cast.organization, EVIL, str(folder), cast.owner))
    for place in (f"/imports/{asked.pk}/", "/imports/", "/datasets/"):
        assert "<img src=x" not in text_of(browser(cast.owner), place)


def test_who_is_in_two_organizations_may_be_too_low_in_one(cast: SimpleNamespace, folder: Path) -> None:
    Membership.objects.create(user=cast.teammate, organization=cast.theirs, role=Role.MANAGER)
    said = {"organization": cast.organization.pk, "folder": str(folder), "name": "x"}
    assert browser(cast.teammate).post("/datasets/import/", said).status_code == 403


def test_a_guest_watches_and_is_not_offered_to_cancel(cast: SimpleNamespace, asked: DatasetImport) -> None:
    guest = browser(cast.teammate)
    assert "Cancel import" not in text_of(guest, f"/imports/{asked.pk}/")
    assert "/datasets/import/" not in text_of(guest, "/datasets/")
    engineer = browser(person("engineer", cast.organization, Role.ADVANCED_ENGINEER))
    engineer.post(f"/imports/{asked.pk}/cancel/")
    asked.refresh_from_db()
    assert asked.state == ImportState.CANCELLED and "Import again" in text_of(engineer, f"/imports/{asked.pk}/")


def test_the_pages_need_few_queries(cast: SimpleNamespace, folder: Path) -> None:
    fields = {"organization": cast.organization, "source": "/x", "created_by": cast.owner, "started_at": Now()}
    for number in range(30):
        DatasetImport.objects.create(name=f"i{number}", state="running", **fields)
    place, owner = f"/imports/{DatasetImport.objects.latest('pk').pk}/", browser(cast.owner)
    for page in ("/imports/", place, f"/datasets/import/?folder={folder}", "/datasets/"):
        with CaptureQueriesContext(connection) as queries:
            text_of(owner, page)
        assert len(queries) <= 25


def test_rest_asks_tells_and_cancels(cast: SimpleNamespace, folder: Path) -> None:
    owner = browser(cast.owner)
    body = {"organization": cast.organization.pk, "folder": str(folder), "name": "pets"}
    answer = owner.post("/api/v1/training/imports", body, content_type="application/json")
    assert answer.status_code == 202 and answer.json()["state"] == "queued"
    place = f"/api/v1/training/imports/{answer.json()['id']}"
    run(DatasetImport.objects.get())
    assert owner.get(place).json()["report"]["images"] == 4
    assert owner.post(f"{place}/cancel").status_code == 409
    assert len(owner.get("/api/v1/training/imports?state=completed").json()["items"]) == 1
    refused = owner.post("/api/v1/training/imports", body | {"folder": "/etc"}, content_type="application/json")
    assert refused.status_code == 422 and refused.json()["errors"][0]["field"] == "folder"


def test_the_command_and_the_import_agree_on_names(cast: SimpleNamespace, folder: Path) -> None:
    dataset_import(cast.organization, "pets", folder, None)
    with pytest.raises(ValidationError) as refused:
        import_ask(cast.organization, "pets", str(folder), cast.owner)
    assert "already a dataset" in refused.value.message_dict["name"][0]
