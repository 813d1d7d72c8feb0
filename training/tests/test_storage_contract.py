"""What every store promises, asked of a folder and of a real S3 server alike."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.test import Client

from training.storage.store import InvalidKey, ObjectMissing, Store, StoredObject, external_store, internal_store

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(300)]
SITE = "http://127.0.0.1:8000"
KEY = "jobs/1/attempts/1/checkpoints/한 글.pt"
TYPE = {"Content-Type": "application/octet-stream"}
Ask = Callable[..., tuple[int, bytes]]


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "s3":
        request.getfixturevalue("stores_on_s3")
    assert internal_store().url.startswith(request.param)
    return internal_store()


def ask(method: str, url: str, data: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    """Status and body, from whoever signed the address: the platform or the object store."""
    if not url.startswith(SITE):
        response = httpx.request(method, url, content=data, headers=headers)
        return response.status_code, response.content
    kind = headers.pop("Content-Type", TYPE["Content-Type"])
    answer = Client().generic(method, url.removeprefix(SITE), data or b"", content_type=kind, headers=headers)
    return answer.status_code, b"" if answer.streaming else answer.content


def offer(store: Store, data: bytes, key: str = KEY, seconds: int = 60) -> tuple[str, dict[str, str]]:
    """The address for a PUT of these bytes, and the headers that it asks for."""
    told: dict[str, Any] = store.upload_offer(key, len(data), hashlib.sha256(data).hexdigest(), seconds)
    part = told["parts"][0] if "parts" in told else {"url": told["url"], "headers": TYPE}
    return part["url"], part["headers"]


def test_what_was_put_is_there_whole(store: Store) -> None:
    assert store.put(KEY, b"hello") == StoredObject(KEY, 5)
    found = store.stat(KEY)
    assert (store.get(KEY), found and found.size) == (b"hello", 5)
    assert store.sha256(KEY) == hashlib.sha256(b"hello").hexdigest()


def test_a_file_of_several_parts_takes_the_place_of_the_object(store: Store, tmp_path: Path) -> None:
    data = bytes(range(256)) * (9 << 12)  # 9 MiB
    (tmp_path / "new").write_bytes(data)
    store.put(KEY, b"old")
    store.sha256(KEY)
    store.put(KEY, tmp_path / "new")
    assert store.get(KEY) == data
    assert store.sha256(KEY) == hashlib.sha256(data).hexdigest()


def test_a_range_has_both_ends_and_ends_with_the_object(store: Store) -> None:
    store.put(KEY, b"0123456789")
    for first, last, wanted in [(2, 4, b"234"), (7, None, b"789"), (8, 99, b"89"), (10, None, b""), (3, 2, b"")]:
        assert b"".join(store.read(KEY, first, last)) == wanted


def test_an_object_arrives_in_chunks_and_not_at_once(store: Store) -> None:
    store.put(KEY, b"x" * (3 << 20))
    assert max(len(chunk) for chunk in store.read(KEY)) <= 1 << 20


def test_an_empty_object_is_one(store: Store) -> None:
    store.put(KEY, b"")
    assert (store.get(KEY), store.stat(KEY)) == (b"", StoredObject(KEY, 0, None))


def test_what_is_missing_is_told(store: Store) -> None:
    assert store.stat("nothing") is None
    store.delete("nothing")
    for call in (store.get, store.sha256):
        with pytest.raises(ObjectMissing, match="no nothing in the internal store"):
            call("nothing")


def test_a_put_that_fails_leaves_the_old_object(store: Store, tmp_path: Path) -> None:
    store.put(KEY, b"old")
    with pytest.raises(OSError):
        store.put(KEY, tmp_path / "missing")
    assert store.get(KEY) == b"old"


def test_a_list_is_in_order_of_keys_and_only_of_what_lies_below(store: Store) -> None:
    for key in ("d/a/b", "d/a.txt", "d/a-b", "d/가", "dd/a"):
        store.put(key, b"1")
    store.sha256("d/a.txt")
    assert [found.key for found in store.list("d")] == sorted(["d/a/b", "d/a.txt", "d/a-b", "d/가"])
    assert list(store.list("nothing")) == []


def test_all_below_a_prefix_can_be_removed_and_nothing_else(store: Store) -> None:
    for key in ("d/1/a", "d/1/b c", "d/10/a"):
        store.put(key, b"1")
    store.delete_all("d/1")
    store.delete_all("d/nothing")
    assert [found.key for found in store.list("d")] == ["d/10/a"]
    store.delete("d/10/a")
    assert store.stat("d/10/a") is None


@pytest.mark.parametrize("key", ["", "/a", "../a", "a/../b", "a//b", "a\\b", "a\0b", ".store/sha256/a"])
def test_keys_that_lead_elsewhere_are_refused(store: Store, key: str) -> None:
    for call in (store.stat, store.get, store.delete, store.sha256, store.presign_get):
        with pytest.raises(InvalidKey):
            call(key)
    with pytest.raises(InvalidKey):
        store.put(key, b"")


def test_the_two_stores_share_nothing(store: Store) -> None:
    internal_store().put("a", b"1")
    assert external_store().stat("a") is None


def test_a_signed_address_gives_the_object_by_ranges(store: Store) -> None:
    store.put(KEY, b"0123456789")
    url = store.presign_get(KEY, filename='b"e 한.pt')
    assert ask("GET", url) == (200, b"0123456789")
    assert ask("GET", url, Range="bytes=2-4") == (206, b"234")
    assert ask("GET", store.presign_get("gone"))[0] == 404


def test_an_expired_address_is_refused(store: Store) -> None:
    store.put(KEY, b"old")
    get, (put, headers) = store.presign_get(KEY, seconds=-1), offer(store, b"new", seconds=-1)
    assert ask("GET", get)[0] == 403
    assert ask("PUT", put, b"new", **headers)[0] == 403


def test_a_changed_address_is_refused(store: Store) -> None:
    store.put("a/1", b"1")
    url = store.presign_get("a/1")
    last = "0" if url[-1] != "0" else "1"
    assert ask("GET", url[:-1] + last)[0] == 403
    assert ask("GET", url.replace("/a/1", "/a/2").replace("storage/", "storage/x"))[0] == 403


def test_an_address_is_for_its_method_only(store: Store) -> None:
    store.put(KEY, b"old")
    put, headers = offer(store, b"new")
    for method, url in [("PUT", store.presign_get(KEY)), ("DELETE", store.presign_get(KEY)), ("GET", put)]:
        assert ask(method, url, b"new" if method == "PUT" else None, **headers)[0] == 403
    assert ask("DELETE", put)[0] == 403


def test_a_signed_put_takes_exactly_its_bytes(store: Store) -> None:
    url, headers = offer(store, b"weights")
    assert ask("PUT", url, b"weights", **headers)[0] == 200
    assert store.get(KEY) == b"weights"
    assert store.sha256(KEY) == hashlib.sha256(b"weights").hexdigest()


@pytest.mark.parametrize("data", [b"weights and more", b"less"])
def test_a_put_of_another_length_is_refused(store: Store, data: bytes) -> None:
    url, headers = offer(store, b"weights")
    assert ask("PUT", url, data, **headers)[0] == 403
    assert store.stat(KEY) is None


def test_a_put_of_other_bytes_of_the_same_length_makes_no_object(store: Store) -> None:
    url, headers = offer(store, b"weights")
    assert ask("PUT", url, b"we1ghts", **headers)[0] == 400
    assert store.stat(KEY) is None


def test_a_put_to_another_key_is_refused(store: Store) -> None:
    url, headers = offer(store, b"weights", key="jobs/1/a.pt")
    assert ask("PUT", url.replace("jobs/1", "jobs/2").replace("storage/", "storage/x"), b"weights", **headers)[0] == 403
    assert list(store.list("jobs")) == []


def test_a_large_upload_goes_on_where_it_stopped_and_is_no_object_before(stores_on_s3: None) -> None:
    store, data = internal_store(), bytes(range(256)) * (17 << 12)  # 17 MiB: three parts
    sha256 = hashlib.sha256(data).hexdigest()
    parts = store.upload_offer(KEY, len(data), sha256)["parts"]
    assert [(part["first"], part["size"]) for part in parts] == [(0, 8 << 20), (8 << 20, 8 << 20), (16 << 20, 1 << 20)]
    for part in (parts[0], parts[2]):
        assert ask("PUT", part["url"], data[part["first"] :][: part["size"]], **part["headers"])[0] == 200
    (left,) = store.upload_offer(KEY, len(data), sha256)["parts"]
    assert (left["first"], store.stat(KEY), list(store.list("jobs"))) == (8 << 20, None, [])
    assert ask("PUT", left["url"], data[8 << 20 : 16 << 20], **left["headers"])[0] == 200
    assert store.upload_offer(KEY, len(data), sha256)["parts"] == []
    assert store.get(KEY) == data


def test_a_large_upload_of_other_bytes_begins_anew(stores_on_s3: None) -> None:
    store, data = internal_store(), b"x" * (9 << 20)
    sha256 = hashlib.sha256(data).hexdigest()
    for part in store.upload_offer(KEY, len(data), sha256)["parts"]:
        ask("PUT", part["url"], b"y" * part["size"], **part["headers"])
    assert len(store.upload_offer(KEY, len(data), sha256)["parts"]) == 2
    assert store.stat(KEY) is None


@pytest.mark.parametrize("change", ["larger", "other type", "other part"])
def test_an_address_of_a_part_takes_that_part_only(stores_on_s3: None, change: str) -> None:
    store, data = internal_store(), b"x" * (9 << 20)
    part = store.upload_offer(KEY, len(data), hashlib.sha256(data).hexdigest())["parts"][1]
    url = part["url"].replace("partNumber=2", "partNumber=1") if change == "other part" else part["url"]
    headers = {**part["headers"], **({"Content-Type": "text/html"} if change == "other type" else {})}
    body = data[part["first"] :] + (b"x" if change == "larger" else b"")
    assert ask("PUT", url, body, **headers)[0] == 403


def test_a_small_put_of_another_type_is_refused(stores_on_s3: None) -> None:
    url, headers = offer(internal_store(), b"weights")
    assert ask("PUT", url, b"weights", **{**headers, "Content-Type": "text/html"})[0] == 403


def test_another_objects_bytes_can_t_be_taken_by_a_signed_put(stores_on_s3: None) -> None:
    """A server that lets an unsigned header turn a PUT into a copy still gets nothing registered by it."""
    store, data = internal_store(), b"weights"
    store.put("secret", b"another job's")
    url, headers = offer(store, data)
    source = "/".join(url.split("?")[0].split("/")[3:5]) + "/secret"
    ask("PUT", url, b"", **{**headers, "x-amz-copy-source": source})
    assert store.upload_offer(KEY, len(data), hashlib.sha256(data).hexdigest())["parts"]
    assert store.stat(KEY) is None


def test_what_is_removed_takes_uploads_under_way_with_it(stores_on_s3: None) -> None:
    store: Any = internal_store()
    store.upload_offer("jobs/1/a.pt", 9 << 20, "0" * 64)
    store.upload_offer("jobs/10/a.pt", 9 << 20, "0" * 64)
    store.delete_all("jobs/1")
    (left,) = store.client.list_multipart_uploads(Bucket=store.bucket)["Uploads"]
    assert left["Key"].endswith("jobs/10/a.pt")


def test_a_server_that_is_away_is_an_oserror(settings: Any, stores_on_s3: None) -> None:
    settings.INTERNAL_STORAGE_ENDPOINT = "http://127.0.0.1:9"
    settings.INTERNAL_STORAGE_URL += "/away"
    with pytest.raises(OSError, match="could not be reached"):
        internal_store().put("a", b"1")


def test_a_list_tells_that_an_object_was_written_again_even_with_the_same_size(store: Store) -> None:
    store.put("datasets/v/a", b"one")
    store.put("datasets/v/b", b"other")
    first = {found.key: found.version for found in store.list("datasets/v")}
    assert all(version and " " not in version for version in first.values())
    store.put("datasets/v/a", b"two")
    second = {found.key: found.version for found in store.list("datasets/v")}
    assert [key for key in first if first[key] != second[key]] == ["datasets/v/a"]
