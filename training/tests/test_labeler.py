"""The labeler's datasets beside one's own: who is asking is proved, what comes is judged, and silence harms nobody."""

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from PIL import Image

from training.imports.work import import_claim, import_run
from training.labeler import client as labeler_client
from training.labeler.client import LabelerAway, LabelerClient, LabelerRefused
from training.labeler.tokens import token_make
from training.models import AuditEntry, Dataset, DatasetImport, ImportState
from training.storage.store import external_store
from training.tests.labeler_service import SECRET, Door, LabelerService

pytestmark = pytest.mark.django_db


@pytest.fixture
def service(settings: Any, tmp_path: Path) -> Iterator[LabelerService]:
    found = LabelerService()
    settings.LABELER_API_URL, settings.SERVICE_JWT_SECRET, settings.DATA_DIR = found.url, SECRET, tmp_path / "data"
    labeler_client.away.forget()
    yield found
    labeler_client.away.forget()
    found.stop()


@pytest.fixture
def bottles(service: LabelerService, cast: SimpleNamespace) -> LabelerService:
    """A dataset there that the owner and the teammate may see."""
    service.add("7f-a", "Bottles 병", packed(dice_files()), (cast.owner.email, cast.teammate.email))
    return service


def dice_files() -> dict[str, bytes]:
    """A DICE folder of eight images, all labelled."""
    picture = io.BytesIO()
    Image.new("RGB", (32, 24), "white").save(picture, "PNG")
    images = [{"id": n, "file_name": f"{n}.png", "width": 32, "height": 24} for n in range(8)]
    boxes = [{"image_id": n, "class_id": n % 2, "bbox": [2, 4, 10, 8]} for n in range(8)]
    classes = [{"id": 0, "name": "full"}, {"id": 1, "name": "empty"}]
    said = {"classes": classes, "images": images, "annotations": boxes}
    files = {f"images/{n}.png": picture.getvalue() for n in range(8)}
    return files | {"annotations_detection.json": json.dumps(said).encode()}


def packed(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def browser(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def ask(cast: SimpleNamespace, dataset: str = "7f-a", user: Any = None) -> Any:
    said = {"dataset": dataset, "organization": cast.organization.pk}
    return browser(user or cast.owner).post("/datasets/labeler/import/", said)


def run_import() -> DatasetImport:
    claimed = import_claim()
    assert claimed is not None
    import_run(claimed, threading.Event())
    return DatasetImport.objects.get(pk=claimed.pk)


def test_every_call_proves_who_asks_with_a_token_of_its_own(bottles: LabelerService, cast: SimpleNamespace) -> None:
    client = LabelerClient(cast.owner)
    client.health()
    assert [one.name for one in client.datasets()] == ["Bottles 병"]
    assert client.get("7f-a") == client.batch(["7f-a", "none"])[0]
    assert client.permission("7f-a")
    assert client.download("7f-a").size > 1000
    assert len(bottles.seen) == 6
    assert (bottles.claims["sub"], bottles.claims["email"]) == ("owner", "owner@example.com")
    with pytest.raises(ValueError, match="at most 50"):
        client.batch(["x"] * 51)


@pytest.mark.parametrize("wrong", ["secret", "expired", "audience", "replayed"])
def test_the_service_refuses_a_token_that_is_not_right(
    bottles: LabelerService, cast: SimpleNamespace, settings: Any, monkeypatch: Any, wrong: str
) -> None:
    if wrong == "secret":
        settings.SERVICE_JWT_SECRET = "another secret of the same length, or so"
    elif wrong == "audience":
        monkeypatch.setattr("training.labeler.tokens.AUDIENCE", "somebody else")
    else:
        token = token_make(cast.owner, seconds=-1 if wrong == "expired" else 60)
        monkeypatch.setattr(labeler_client, "token_make", lambda user: token)
        if wrong == "replayed":
            LabelerClient(cast.owner).datasets()
    with pytest.raises(LabelerRefused, match="SERVICE_JWT_SECRET"):
        LabelerClient(cast.owner).datasets()


def test_its_datasets_stand_beside_ones_own_and_are_imported(bottles: LabelerService, cast: SimpleNamespace) -> None:
    client = browser(cast.owner)
    assert 'hx-get="/datasets/labeler/"' in client.get("/datasets/").content.decode()
    assert "Bottles 병" in client.get("/datasets/labeler/").content.decode()
    first, again = ask(cast), ask(cast)
    assert first.status_code == 302 and first["Location"] == again["Location"]
    done = run_import()
    assert (done.state, done.error) == (ImportState.COMPLETED, "")
    dataset = Dataset.objects.get()
    assert (dataset.name, dataset.task_type, dataset.classes) == ("Bottles 병", "detection", ["full", "empty"])
    assert len([one for one in external_store().list(dataset.prefix) if one.key.endswith(".png")]) == 8
    assert f"/datasets/{dataset.pk}/" in client.get("/datasets/labeler/").content.decode()
    assert not list((labeler_client.settings.WORK_DIR / "imports").iterdir())


def test_a_guest_sees_and_can_not_import(bottles: LabelerService, cast: SimpleNamespace) -> None:
    page = browser(cast.teammate).get("/datasets/labeler/").content.decode()
    assert "Bottles 병" in page and "Import" not in page
    assert ask(cast, user=cast.teammate).status_code == 404


def test_what_the_labeler_hides_is_not_there(bottles: LabelerService, cast: SimpleNamespace) -> None:
    assert "Bottles" not in browser(cast.stranger).get("/datasets/labeler/").content.decode()
    bottles.datasets["7f-a"]["download"] = False
    for dataset in ("7f-a", "none", "../health", ""):
        assert ask(cast, dataset)["Location"] == "/datasets/"
    assert not DatasetImport.objects.exists()


@pytest.mark.parametrize("fault", ["gone", "hangs", "broken"])
def test_one_that_does_not_answer_is_told_once_and_not_asked_again_for_a_while(
    bottles: LabelerService, cast: SimpleNamespace, monkeypatch: Any, fault: str
) -> None:
    monkeypatch.setattr(labeler_client, "READ_SECONDS", 0.3)
    if fault == "gone":
        bottles.stop()
    bottles.hangs, bottles.status = (2.0 if fault == "hangs" else 0.0), (503 if fault == "broken" else 0)
    client = browser(cast.owner)
    for _ in range(3):
        page = client.get("/datasets/labeler/")
        assert page.status_code == 200 and "labeler" in page.content.decode()
    assert bottles.calls.total() <= 1
    assert client.get("/datasets/").status_code == 200
    assert ask(cast)["Location"] == "/datasets/"
    with pytest.raises(LabelerAway):
        LabelerClient(None).health()


def test_an_import_that_finds_it_away_says_so(bottles: LabelerService, cast: SimpleNamespace) -> None:
    ask(cast)
    bottles.stop()
    assert "does not answer" in run_import().error


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"../out.png": b"x"}, "leads out of the archive"),
        ({"/etc/x": b"x"}, "an absolute name"),
        ({"a\\b": b"x"}, "a backslash in a name"),
        ({"nothing.txt": b"x"}, ""),
    ],
)
def test_an_archive_that_is_none_of_ours_is_refused(
    bottles: LabelerService, cast: SimpleNamespace, tmp_path: Path, files: dict[str, bytes], said: str
) -> None:
    bottles.datasets["7f-a"]["zip"] = packed(files)
    ask(cast)
    done = run_import()
    assert done.state == ImportState.FAILED and said in done.error
    assert (
        not list((labeler_client.settings.WORK_DIR / "imports").iterdir())
        and not (tmp_path / "data" / "out.png").exists()
    )


def test_what_is_not_what_was_announced_is_refused(bottles: LabelerService, cast: SimpleNamespace) -> None:
    bottles.datasets["7f-a"]["sha256"] = "0" * 64
    ask(cast)
    assert "not what it announced" in run_import().error


NONSENSE = [b"[]", b"{", b'{"datasets": 7}', b'{"datasets": [{"id": "../x"}]}', b"x" * (5 << 20)]


@pytest.mark.parametrize("answer", NONSENSE)
def test_an_answer_that_makes_no_sense_is_refused(
    bottles: LabelerService, cast: SimpleNamespace, monkeypatch: Any, answer: bytes
) -> None:
    monkeypatch.setattr(Door, "handled", lambda self, asked: (200, answer))
    page = browser(cast.owner).get("/datasets/labeler/")
    assert page.status_code == 200 and "labeler" in page.content.decode()


def rest(user: Any, method: str, path: str, body: Any = None) -> Any:
    client = browser(user)
    send = getattr(client, method)
    return send(f"/api/v1/training/labeler/{path}", *([body] if body else []), content_type="application/json")


def test_over_rest_they_are_listed_in_pages_and_imported(bottles: LabelerService, cast: SimpleNamespace) -> None:
    bottles.add("8", "Caps", b"", (cast.owner.email,))
    first = rest(cast.owner, "get", "datasets?limit=1").json()
    assert [one["id"] for one in first["items"]] == ["7f-a"] and first["previous"] is None
    second = browser(cast.owner).get(first["next"]).json()
    assert [one["name"] for one in second["items"]] == ["Caps"] and second["next"] is None
    asked = rest(cast.owner, "post", "imports", {"dataset": "7f-a", "organization": cast.organization.pk})
    again = rest(cast.owner, "post", "imports", {"dataset": "7f-a"})
    assert asked.status_code == 202 and asked.json()["id"] == again.json()["id"]
    assert (asked.json()["name"], asked.json()["source_kind"]) == ("Bottles 병", "labeler")
    assert run_import().state == ImportState.COMPLETED
    told = rest(cast.owner, "get", "datasets").json()["items"]
    assert (told[0]["import_id"], told[0]["dataset_id"]) == (asked.json()["id"], Dataset.objects.get().pk)
    assert (told[1]["import_id"], told[1]["dataset_id"]) == (None, None)
    assert AuditEntry.objects.filter(action="dataset_import.ask").count() == 1


def test_over_rest_roles_and_the_labelers_own_word_count(bottles: LabelerService, cast: SimpleNamespace) -> None:
    assert rest(cast.teammate, "post", "imports", {"dataset": "7f-a"}).status_code == 403
    assert rest(cast.stranger, "get", "datasets").json()["items"] == []
    body = {"dataset": "7f-a", "organization": cast.organization.pk}
    assert rest(cast.stranger, "post", "imports", body).status_code == 404
    for dataset in ("none", "../health"):
        assert rest(cast.owner, "post", "imports", {"dataset": dataset}).status_code == 404
    bottles.datasets["7f-a"]["download"] = False
    refused = rest(cast.owner, "post", "imports", {"dataset": "7f-a"})
    assert refused.status_code == 404 and "does not let you" in refused.json()["detail"]
    Dataset.objects.create(organization=cast.organization, name="Bottles 병", prefix="x")
    bottles.datasets["7f-a"]["download"] = True
    taken = rest(cast.owner, "post", "imports", {"dataset": "7f-a"})
    assert taken.status_code == 422 and taken.json()["errors"][0]["field"] == "name"
    assert not DatasetImport.objects.exists()


def test_over_rest_one_that_is_away_is_told_as_such(bottles: LabelerService, cast: SimpleNamespace) -> None:
    bottles.stop()
    for answer in (rest(cast.owner, "get", "datasets"), rest(cast.owner, "post", "imports", {"dataset": "7f-a"})):
        assert answer.status_code == 503 and "labeler" in answer.json()["detail"] and answer["Retry-After"]


def said(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_by_command_they_are_listed_and_imported(bottles: LabelerService, cast: SimpleNamespace) -> None:
    listed = said("labeler", "--user", cast.owner.username)
    assert listed.splitlines()[1].split("\t") == ["7f-a", "Bottles 병", "detection", "8", "2"]
    assert json.loads(said("labeler", "--user", cast.owner.username, "--json"))[0]["id"] == "7f-a"
    names = ("--name", "Mine", "--organization", cast.organization.slug)
    report = json.loads(said("import_dataset", "labeler:7f-a", *names, "--user", cast.owner.username, "--json"))
    assert (report["name"], report["images"]) == ("Mine", 8)
    assert Dataset.objects.get().created_by == cast.owner
    assert not list((labeler_client.settings.WORK_DIR / "imports").iterdir())


def test_by_command_it_is_refused_with_a_reason(bottles: LabelerService, cast: SimpleNamespace, settings: Any) -> None:
    names = ("--name", "Mine", "--organization", cast.organization.slug)
    with pytest.raises(CommandError, match="in a person's name"):
        said("import_dataset", "labeler:7f-a", *names)
    with pytest.raises(CommandError, match="no such dataset"):
        said("import_dataset", "labeler:none", *names, "--user", cast.owner.username)
    bottles.stop()
    with pytest.raises(CommandError, match="does not answer"):
        said("labeler", "--user", cast.owner.username)
    settings.LABELER_API_URL = ""
    with pytest.raises(CommandError, match="LABELER_API_URL"):
        said("labeler", "--user", cast.owner.username)
    assert not Dataset.objects.exists()


def test_without_one_there_is_nothing_of_it(cast: SimpleNamespace, settings: Any) -> None:
    settings.LABELER_API_URL = ""
    assert "labeler" not in browser(cast.owner).get("/datasets/").content.decode()
    assert browser(cast.owner).get("/datasets/labeler/").status_code == 404
    assert rest(cast.owner, "get", "datasets").status_code == 404
    assert rest(cast.owner, "post", "imports", {"dataset": "7f"}).status_code == 404
