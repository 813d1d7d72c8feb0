"""Archives sent in parts: interrupted and gone on with, checked, imported once, forgotten after a time."""

import hashlib
import io
import json
import threading
import zipfile
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.utils import timezone

from training.imports import uploads
from training.imports.removals import removals_work
from training.imports.services import import_ask, import_cancel
from training.imports.sources import work_folders_sweep
from training.imports.uploads import uploads_sweep
from training.imports.work import import_claim, import_run
from training.jobs.transition import NotAllowed
from training.models import Dataset, DatasetImport, DatasetUpload, ImportState, User
from training.storage.store import internal_store
from training.tests.datasets_folder import folder_write
from training.tests.rest_program import Program
from training.tests.test_pages import browser, text_of

pytestmark = pytest.mark.django_db
GOING = threading.Event()
UPLOADS = "/api/v1/training/uploads"
IMPORTS = "/api/v1/training/imports"
PART = 300


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "PART_BYTES", PART)


@pytest.fixture
def archive(tmp_path: Path) -> bytes:
    folder = folder_write(tmp_path / "pets")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for path in sorted(folder.rglob("*")):
            packed.write(path, f"pets/{path.relative_to(folder)}")
    return file.getvalue()


def begin(program: Program, data: bytes, **words: Any) -> dict[str, Any]:
    answer = program.post(UPLOADS, {"filename": "pets.zip", "size": len(data), **words})
    assert answer.status_code == 201, answer.content
    begun: dict[str, Any] = answer.json()
    return begun


def put(program: Program, upload: dict[str, Any], number: int, part: bytes, sha256: str = "") -> Any:
    query = f"?sha256={sha256 or hashlib.sha256(part).hexdigest()}"
    place = f"{UPLOADS}/{upload['id']}/parts/{number}{query}"
    return program.client.put(place, part, content_type="application/octet-stream")


def parts_of(data: bytes) -> dict[int, bytes]:
    return {at // PART + 1: data[at : at + PART] for at in range(0, len(data), PART)}


def send(program: Program, data: bytes, **words: Any) -> DatasetUpload:
    upload = begin(program, data, **words)
    for number, part in parts_of(data).items():
        assert put(program, upload, number, part).status_code == 200
    return DatasetUpload.objects.get(pk=upload["id"])


def ran(asked: DatasetImport) -> DatasetImport:
    claimed = import_claim()
    assert claimed and claimed.pk == asked.pk
    import_run(claimed, GOING)
    asked.refresh_from_db()
    return asked


def test_sent_in_parts_in_any_order_and_again_it_becomes_a_dataset(
    program: Program, archive: bytes, tmp_path: Path, settings: Any
) -> None:
    upload = begin(program, archive, sha256=hashlib.sha256(archive).hexdigest())
    parts = parts_of(archive)
    assert upload["part_count"] == len(parts) > 5
    for number in [*sorted(parts, reverse=True), 2, 2]:
        assert put(program, upload, number, parts[number]).status_code == 200
    answer = program.post(IMPORTS, {"upload": upload["id"]})
    assert answer.status_code == 202 and answer.json()["source_kind"] == "upload"
    asked = ran(DatasetImport.objects.get(pk=answer.json()["id"]))
    assert asked.state == ImportState.COMPLETED, asked.error
    assert Dataset.objects.get().name == "pets" and Dataset.objects.get().report["images"] == 4
    assert not DatasetUpload.objects.exists() and removals_work(GOING)
    assert not list(internal_store().list("uploads")) and not list((settings.WORK_DIR / "imports").iterdir())


def test_interrupted_it_goes_on_with_what_is_missing(program: Program, archive: bytes) -> None:
    first, parts = begin(program, archive), parts_of(archive)
    put(program, first, 1, parts[1])
    put(program, first, 3, parts[3])
    refused = program.post(IMPORTS, {"upload": first["id"]})
    assert refused.status_code == 422 and "have not arrived, part 2 first" in refused.json()["errors"][0]["message"]
    again = begin(program, archive)
    there = {one["number"]: one["sha256"] for one in again["parts"]}
    assert again["id"] == first["id"] and there == {n: hashlib.sha256(parts[n]).hexdigest() for n in (1, 3)}


@pytest.mark.parametrize(
    ("number", "part", "sha256", "status", "field"),
    [
        (1, b"x" * PART, "0" * 64, 422, "sha256"),
        (1, b"short", "", 422, "size"),
        (1, b"x" * (PART + 1), "", 413, ""),
        (99, b"x" * PART, "", 422, "number"),
        (0, b"x" * PART, "", 422, "number"),
        (1, b"x" * PART, "no checksum", 400, "sha256"),
    ],
)
def test_a_part_that_is_not_what_it_should_be_is_refused(
    program: Program, archive: bytes, number: int, part: bytes, sha256: str, status: int, field: str
) -> None:
    answer = put(program, begin(program, archive), number, part, sha256)
    assert answer.status_code == status, answer.content
    assert not field or answer.json()["errors"][0]["field"] == field
    assert not list(internal_store().list("uploads"))


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ({"filename": "pets.rar"}, "filename"),
        ({"filename": ".zip"}, "filename"),
        ({"size": 10**15}, "size"),
        ({"sha256": "xyz"}, "sha256"),
    ],
)
def test_what_can_be_no_archive_is_refused_before_a_byte_is_sent(
    program: Program, words: dict[str, Any], field: str
) -> None:
    answer = program.post(UPLOADS, {"filename": "pets.zip", "size": 5} | words)
    assert answer.status_code == 422 and answer.json()["errors"][0]["field"] == field


def test_another_checksum_of_the_whole_than_announced_fails(program: Program, archive: bytes) -> None:
    upload = send(program, archive, sha256="1" * 64)
    asked = ran(import_ask(upload.organization, "", "", upload.created_by, upload=upload))  # type: ignore[arg-type]
    assert asked.state == ImportState.FAILED and "SHA-256" in asked.error


def test_a_part_that_rots_in_the_store_is_noticed(program: Program, archive: bytes, cast: SimpleNamespace) -> None:
    upload = send(program, archive)
    internal_store().put(f"{upload.key}/000002", b"x" * PART)
    asked = ran(import_ask(cast.organization, "", "", cast.owner, upload=upload))
    assert asked.state == ImportState.FAILED and "Part 2" in asked.error


def test_a_bad_archive_fails_with_its_sentence_and_leaves_nothing(
    program: Program, cast: SimpleNamespace, settings: Any, tmp_path: Path
) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("../../evil.txt", "x")
    upload = send(program, file.getvalue())
    asked = ran(import_ask(cast.organization, "", "", cast.owner, upload=upload))
    assert asked.state == ImportState.FAILED and "leads out of the archive" in asked.error
    assert not list(tmp_path.rglob("evil.txt")) and not list((settings.WORK_DIR / "imports").iterdir())
    page = text_of(browser(cast.owner), f"/imports/{asked.pk}/")
    assert "leads out of the archive" in page and "Import again" in page


def test_two_imports_of_one_archive_are_one(program: Program, archive: bytes, cast: SimpleNamespace) -> None:
    upload = send(program, archive)
    first = import_ask(cast.organization, "", "", cast.owner, upload=upload)
    assert import_ask(cast.organization, "", "", cast.teammate, upload=upload).pk == first.pk
    with pytest.raises(ValidationError) as refused:
        import_ask(cast.organization, "other", "", cast.owner, upload=upload)
    assert "being imported already, as pets" in refused.value.message_dict["upload"][0]
    with pytest.raises(NotAllowed):
        uploads.upload_delete(upload)
    assert ran(first).state == ImportState.COMPLETED
    answer = program.post(IMPORTS, {"upload": upload.pk})
    assert answer.status_code == 404


def test_two_people_import_the_same_archive_side_by_side(
    program: Program, archive: bytes, cast: SimpleNamespace, settings: Any
) -> None:
    mine, theirs = send(program, archive), send(Program(cast, other_owner(cast)), archive)
    assert mine.pk != theirs.pk
    asked = [
        import_ask(cast.organization, name, "", cast.owner, upload=one) for name, one in (("a", mine), ("b", theirs))
    ]
    claimed = [import_claim(), import_claim()]
    for one in claimed:  # as two workers would: neither removes the other's folder
        assert one
        work_folders_sweep()
        import_run(one, GOING)
    assert [DatasetImport.objects.get(pk=one.pk).state for one in asked] == [ImportState.COMPLETED] * 2
    assert Dataset.objects.count() == 2


def other_owner(cast: SimpleNamespace) -> User:
    from training.tests.conftest import person

    return person("second", cast.organization)


def test_a_cancelled_import_keeps_the_upload(program: Program, archive: bytes, cast: SimpleNamespace) -> None:
    upload = send(program, archive)
    import_cancel(import_ask(cast.organization, "", "", cast.owner, upload=upload))
    assert ran(import_ask(cast.organization, "", "", cast.owner, upload=upload)).state == ImportState.COMPLETED


def test_an_upload_that_nobody_goes_on_with_is_forgotten(
    program: Program, archive: bytes, cast: SimpleNamespace, settings: Any
) -> None:
    waiting, fresh = send(program, archive), begin(program, b"12345", filename="other.tar")
    old = timezone.now() - timedelta(hours=settings.UPLOAD_KEEP_HOURS + 1)
    DatasetUpload.objects.filter(pk=waiting.pk).update(touched_at=old)
    asked = import_ask(cast.organization, "", "", cast.owner, upload=waiting)
    assert uploads_sweep() == 0  # it is being imported
    import_cancel(asked)
    assert uploads_sweep() == 1 and removals_work(GOING)
    assert list(DatasetUpload.objects.values_list("pk", flat=True)) == [fresh["id"]]
    assert not list(internal_store().list("uploads"))


def test_one_person_has_so_many_uploads_and_no_more(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "UNFINISHED", 1)
    upload = begin(program, b"12345")
    assert program.post(UPLOADS, {"filename": "b.zip", "size": 5}).status_code == 422
    assert program.client.delete(f"{UPLOADS}/{upload['id']}").status_code == 204
    assert program.post(UPLOADS, {"filename": "b.zip", "size": 5}).status_code == 201


def test_what_a_killed_worker_left_is_swept(settings: Any, cast: SimpleNamespace) -> None:
    asked = DatasetImport.objects.create(organization=cast.organization, name="x", state="running", attempt=2)
    for name in (f"{asked.pk}-1", f"{asked.pk}-2", "999-1"):
        (settings.WORK_DIR / "imports" / name).mkdir(parents=True)
    work_folders_sweep()
    assert [one.name for one in (settings.WORK_DIR / "imports").iterdir()] == [f"{asked.pk}-2"]


def test_doubt_is_asked_back_and_answered(cast: SimpleNamespace, tmp_path: Path) -> None:
    folder = folder_write(tmp_path / "corners")
    for label in folder.rglob("*.txt"):
        label.write_text("0 0.1 0.1 0.6 0.1 0.6 0.6 0.1 0.6\n")
    asked = ran(import_ask(cast.organization, "", str(folder), cast.owner))
    tasks = [one["task"] for one in asked.report["candidates"]]
    assert asked.state == ImportState.FAILED and sorted(tasks) == ["obb", "segmentation"]
    owner = browser(cast.owner)
    assert 'value="yolo_obb"' in text_of(owner, f"/imports/{asked.pk}/")
    place = owner.post(f"/imports/{asked.pk}/again/", {"task": "obb"})["Location"]
    again = ran(DatasetImport.objects.latest("pk"))
    assert place == f"/imports/{again.pk}/" and again.dataset and again.dataset.task_type == "obb"
    wrong = owner.post(IMPORTS, json.dumps({"folder": str(folder), "task": "x"}), content_type="application/json")
    assert wrong.status_code == 422 and wrong.json()["errors"][0]["field"] == "task"


def test_the_command_takes_an_archive(archive: bytes, cast: SimpleNamespace, tmp_path: Path, settings: Any) -> None:
    (tmp_path / "pets.zip").write_bytes(archive)
    call_command("import_dataset", str(tmp_path / "pets.zip"), name="pets", organization="ours", json=True)
    assert Dataset.objects.get().report["images"] == 4 and not list((settings.WORK_DIR / "imports").iterdir())
