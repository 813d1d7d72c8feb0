"""Imports from places of a real object store: streamed, only where the organization may, and judged like archives."""

import random
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command

from training.datasets.scan import DatasetError
from training.imports import objects
from training.imports.archives import Limits
from training.imports.archives.entries import Unpacking
from training.imports.objects import place_checked, place_fetch
from training.imports.services import import_ask
from training.imports.work import import_claim, import_run
from training.models import Dataset, DatasetImport, ImportState
from training.storage.s3_client import client_make
from training.tests.datasets_folder import folder_write
from training.tests.object_server import ObjectServer
from training.tests.test_pages import browser, text_of
from training.tests.test_storage_faults import Weather

pytestmark = [pytest.mark.django_db, pytest.mark.once]


@pytest.fixture
def bucket(settings: Any, object_server: ObjectServer, tmp_path: Path) -> str:
    """A bucket with a dataset below `shared/동물 사진`, from which everybody may import what is shared."""
    settings.IMPORT_STORAGE_ENDPOINT = object_server.url
    settings.IMPORT_STORAGE_ACCESS_KEY = object_server.access
    settings.IMPORT_STORAGE_SECRET_KEY = object_server.secret
    name = f"test-{uuid4().hex}"
    client = client_make("import")
    client.create_bucket(Bucket=name)
    folder = folder_write(tmp_path / "pets")
    for path in folder.rglob("*"):
        if path.is_file():
            put(name, f"shared/동물 사진/{path.relative_to(folder)}", path.read_bytes())
    settings.IMPORT_S3_PLACES = [f"s3://{name}/shared", f"ours=s3://{name}/of%20ours", f"theirs=s3://{name}/theirs"]
    return name


def put(bucket: str, key: str, data: bytes = b"x") -> None:
    client_make("import").put_object(Bucket=bucket, Key=key, Body=data)


def ran(cast: SimpleNamespace, address: str) -> DatasetImport:
    asked = import_ask(cast.organization, "", "", cast.owner, address=address)
    claimed = import_claim()
    assert claimed and claimed.pk == asked.pk
    import_run(claimed, threading.Event())
    asked.refresh_from_db()
    return asked


def test_a_place_becomes_a_dataset(cast: SimpleNamespace, bucket: str, settings: Any) -> None:
    asked = ran(cast, f"s3://{bucket}/shared/동물 사진/")
    assert asked.state == ImportState.COMPLETED, asked.error
    assert Dataset.objects.get().name == "동물 사진" and asked.report["images"] == 4
    assert not list((settings.WORK_DIR / "imports").iterdir())
    call_command("import_dataset", f"s3://{bucket}/shared/동물 사진", name="again", organization="ours", json=True)
    assert Dataset.objects.count() == 2
    page = text_of(browser(cast.owner), "/datasets/import/")
    assert f"s3://{bucket}/of%20ours" in page and "theirs" not in page.replace(str(cast.theirs), "")


@pytest.mark.parametrize(
    "place",
    ["theirs/x", "", "sharedness", "shared/../theirs", "shared%2F..%2Ftheirs", "shared?x=1", "of ours/../theirs"],
)
def test_what_is_not_allowed_is_like_what_is_not_there(cast: SimpleNamespace, bucket: str, place: str) -> None:
    put(bucket, "theirs/x/secret.png")
    with pytest.raises(ValidationError) as refused:
        import_ask(cast.organization, "", "", cast.owner, address=f"s3://{bucket}/{place}")
    assert "may import nothing from there" in refused.value.message_dict["address"][0]
    assert not DatasetImport.objects.exists()


@pytest.mark.parametrize(
    "address", ["file:///etc", "http://127.0.0.1/x", "s3://", "s3://ab/x", "/etc", "s3://other/shared"]
)
def test_other_addresses_are_refused(cast: SimpleNamespace, settings: Any, address: str) -> None:
    settings.IMPORT_S3_PLACES = ["s3://bucket/shared"]
    with pytest.raises(DatasetError):
        place_checked(cast.organization, address)


def test_names_that_lead_out_and_too_much_are_refused(
    cast: SimpleNamespace, bucket: str, settings: Any, tmp_path: Path
) -> None:
    put(bucket, "of ours/evil/a/../../../evil.txt")
    asked = ran(cast, f"s3://{bucket}/of%20ours/evil")
    assert asked.state == ImportState.FAILED and "leads out" in asked.error and not list(tmp_path.rglob("evil.txt"))
    put(bucket, "of ours/large/a.bin", bytes(3000))
    settings.IMPORT_MAX_GB = 1e-6
    assert "GB, which is the most" in ran(cast, f"s3://{bucket}/of%20ours/large").error
    settings.IMPORT_MAX_GB, settings.IMPORT_MAX_FILES = 1, 5
    assert "more than 5 entries" in ran(cast, f"s3://{bucket}/shared/동물 사진").error


def test_an_empty_place_a_missing_bucket_and_a_server_away_are_told_apart(
    cast: SimpleNamespace, bucket: str, settings: Any
) -> None:
    assert "nothing below it" in ran(cast, f"s3://{bucket}/shared/none").error
    settings.IMPORT_S3_PLACES = ["s3://no-such-bucket/x"]
    assert "NoSuchBucket" in ran(cast, "s3://no-such-bucket/x").error
    settings.IMPORT_STORAGE_ENDPOINT = "http://127.0.0.1:9"
    assert "could not be reached" in ran(cast, "s3://no-such-bucket/x").error


LARGE = random.Random(1).randbytes(3 << 20)
PLACE = "shared/large"
EXPIRED = b"<Error><Code>ExpiredToken</Code></Error>"
DENIED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(EXPIRED) + EXPIRED


@pytest.fixture
def weather(settings: Any, bucket: str, object_server: ObjectServer, monkeypatch: Any) -> Iterator[Weather]:
    """The import's own way to the server, with one large object behind it."""
    put(bucket, f"{PLACE}/large.bin", LARGE)
    monkeypatch.setattr(objects, "PAUSE_SECONDS", 0.01)
    found = Weather(urlsplit(object_server.url).port or 0)
    settings.IMPORT_STORAGE_ENDPOINT = found.url
    yield found
    found.door.close()


def fetched(bucket: str, target: Path, progress: Any = None) -> bytes:
    place_fetch(f"s3://{bucket}/{PLACE}", Unpacking(target, 1 << 30, Limits(1 << 30, 9)), progress)
    return (target / "large.bin").read_bytes()


@pytest.mark.parametrize("faults", [[1 << 20, 1 << 20, 600_000], ["busy", 2 << 20, "busy"], [(1 << 20, 0.5)]])
def test_a_store_that_breaks_off_or_is_busy_is_read_to_the_end(
    weather: Weather, bucket: str, tmp_path: Path, faults: list[Any]
) -> None:
    weather.faults = list(faults)
    assert fetched(bucket, tmp_path) == LARGE
    assert weather.faults == []


def test_a_slow_store_does_not_cost_the_lease(weather: Weather, bucket: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(objects, "TELL_SECONDS", 0.05)
    told: list[int] = []
    weather.faults = [(1 << 20, 1.0)]
    assert fetched(bucket, tmp_path, lambda stage, done, total: told.append(done)) == LARGE
    assert len(told) > 3 and told[0] < len(LARGE) == told[-1]


def test_one_that_breaks_off_for_good_is_given_up_with_a_sentence(
    weather: Weather, bucket: str, tmp_path: Path
) -> None:
    weather.faults = [1 << 20] + [1] * 200  # the list, and half of the object; from then on nothing
    with pytest.raises(DatasetError, match="can't be read: The object store could not be reached for shared/large"):
        fetched(bucket, tmp_path)


def test_keys_that_expire_on_the_way_end_it_with_a_sentence(
    cast: SimpleNamespace, weather: Weather, bucket: str, settings: Any
) -> None:
    weather.faults = [1 << 20, DENIED]
    asked = ran(cast, f"s3://{bucket}/{PLACE}")
    assert asked.state == ImportState.FAILED and "refused shared/large" in asked.error and "ExpiredToken" in asked.error
    assert not list((settings.WORK_DIR / "imports").iterdir()) and not Dataset.objects.exists()


def test_an_object_that_is_replaced_on_the_way_is_not_mixed(
    weather: Weather, bucket: str, tmp_path: Path, monkeypatch: Any
) -> None:
    direct = client_make("import")
    weather.faults = [1 << 20]

    class Replacing(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            direct.put_object(Bucket=bucket, Key=f"{PLACE}/large.bin", Body=LARGE[::-1])
            return False

    monkeypatch.setattr(objects, "Event", Replacing)
    with pytest.raises(DatasetError, match=r"PreconditionFailed|412"):
        fetched(bucket, tmp_path)
