"""The door behind signed addresses serves and takes exactly what was signed."""

import asyncio
import hashlib
import time
from typing import Any

import pytest
from django.test import AsyncClient, Client
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as st

from trainers.sdk.signed import content_digest
from training.storage.local import LocalStore
from training.storage.store import internal_store
from training.storage.upload import Upload

WEIGHTS = bytes(range(256)) * 40  # 10,240 bytes


@pytest.fixture
def store(settings, tmp_path) -> LocalStore:
    settings.INTERNAL_STORAGE_URL = f"file://{tmp_path / 'internal'}"
    settings.EXTERNAL_STORAGE_URL = f"file://{tmp_path / 'external'}"
    found = internal_store()
    assert isinstance(found, LocalStore)
    return found


def local(url: str) -> str:
    return url.removeprefix("http://127.0.0.1:8000")


def put_address(store: LocalStore, data: bytes = WEIGHTS, key: str = "jobs/1/best.pt", seconds: int = 60) -> str:
    return local(store.presign_put(key, len(data), hashlib.sha256(data).hexdigest(), seconds))


def put(url: str, data: bytes, first: int = 0, size: int = len(WEIGHTS), **headers: str) -> Any:
    headers = {"content-range": f"bytes {first}-{first + len(data) - 1}/{size}"} | headers
    return Client().put(url, data, content_type="application/octet-stream", headers=headers)


def body(response: Any) -> bytes:
    return b"".join(response) if not response.streaming else asyncio.run(_joined(response))


async def _joined(response: Any) -> bytes:
    return b"".join([chunk async for chunk in response.streaming_content])


def test_a_download_has_length_name_and_no_script_rights(store):
    store.put("jobs/1/best.pt", WEIGHTS)
    response = Client().get(local(store.presign_get("jobs/1/best.pt")))
    assert (response.status_code, body(response)) == (200, WEIGHTS)
    assert response["Content-Length"] == str(len(WEIGHTS))
    assert response["Content-Disposition"] == 'attachment; filename="best.pt"'
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Type"] == "application/octet-stream"


def test_a_download_can_have_another_name(store):
    store.put("jobs/1/best-0123.pt", WEIGHTS)
    response = Client().get(local(store.presign_get("jobs/1/best-0123.pt", filename='b"e.pt')))
    assert response["Content-Disposition"] == 'attachment; filename="b\\"e.pt"'


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.png", "image/png"), ("a.JPG", "image/jpeg"), ("a.svg", None), ("a.html", None), ("a.json", None)],
)
def test_only_images_have_a_type_of_their_own(store, name, kind):
    store.put(name, b"1")
    response = Client().get(local(store.presign_get(name)))
    assert response["Content-Type"] == (kind or "application/octet-stream")


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [("bytes=0-9", 0, 9), ("bytes=100-", 100, 10239), ("bytes=-5", 10235, 10239), ("bytes=10000-99999", 10000, 10239)],
)
def test_it_serves_a_range(store, wanted, first, last):
    store.put("a", WEIGHTS)
    response = Client().get(local(store.presign_get("a")), headers={"range": wanted})
    assert (response.status_code, body(response)) == (206, WEIGHTS[first : last + 1])
    assert response["Content-Range"] == f"bytes {first}-{last}/10240"
    assert response["Content-Length"] == str(last - first + 1)


def test_a_range_past_the_end_is_416(store):
    store.put("a", WEIGHTS)
    response = Client().get(local(store.presign_get("a")), headers={"range": "bytes=10240-"})
    assert (response.status_code, response["Content-Range"]) == (416, "bytes */10240")


@pytest.mark.parametrize("wanted", ["bytes=5-3", "bytes=-", "bytes=0-1,4-5", "lines=1-2", "bytes=a-b", "bytes=٣-٤"])
def test_a_range_it_does_not_understand_gets_the_whole_file(store, wanted):
    store.put("a", WEIGHTS)
    response = Client().get(local(store.presign_get("a")), headers={"range": wanted})
    assert (response.status_code, len(body(response))) == (200, 10240)


def test_an_empty_object_can_be_sent_and_fetched(store):
    assert Client().put(put_address(store, b""), b"").json() == {"received": 0}
    response = Client().get(local(store.presign_get("jobs/1/best.pt")))
    assert (response.status_code, response["Content-Length"], body(response)) == (200, "0", b"")


def test_a_head_tells_the_length_without_the_bytes(store):
    store.put("a", WEIGHTS)
    response = Client().head(local(store.presign_get("a")))
    assert (response.status_code, response["Content-Length"], response.content) == (200, "10240", b"")


def test_a_large_object_leaves_in_chunks(store):
    data = WEIGHTS * 100
    store.put("a", data)

    async def fetch() -> tuple[Any, list[bytes]]:
        response = await AsyncClient().get(local(store.presign_get("a")))
        return response, [chunk async for chunk in response.streaming_content]

    response, chunks = asyncio.run(fetch())
    assert response.streaming
    assert len(chunks) == 4
    assert b"".join(chunks) == data


def test_a_deleted_object_is_404(store):
    assert Client().get(local(store.presign_get("gone"))).status_code == 404


def test_an_expired_address_is_403(store):
    store.put("a", WEIGHTS)
    for url in (store.presign_get("a", seconds=-1), put_address(store, seconds=-1)):
        response = Client().get(local(url))
        assert (response.status_code, response.json()["message"]) == (403, "This address has expired.")


def test_a_changed_address_is_403(store):
    store.put("a", WEIGHTS)
    url = local(store.presign_get("a"))
    for changed in (url[:-2] + "xx", url.replace("/storage/", "/storage/x"), "/storage/nonsense", "/storage/a:b"):
        assert Client().get(changed).status_code == 403


def test_an_address_signed_with_another_secret_is_403(store, settings):
    store.put("a", WEIGHTS)
    url = local(store.presign_get("a"))
    settings.SECRET_KEY = "another secret that is long enough to be one"
    assert Client().get(url).status_code == 403


@pytest.mark.parametrize("method", ["put", "post", "delete", "patch", "options"])
def test_an_address_for_reading_is_for_nothing_else(store, method):
    store.put("a", WEIGHTS)
    assert getattr(Client(), method)(local(store.presign_get("a"))).status_code == 403
    assert store.get("a") == WEIGHTS


@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_an_address_for_writing_is_for_nothing_else(store, method):
    put(put_address(store), WEIGHTS)
    assert getattr(Client(), method)(put_address(store)).status_code == 403


def test_it_needs_no_csrf_token(store):
    response = Client(enforce_csrf_checks=True).put(put_address(store), WEIGHTS)
    assert response.json() == {"received": len(WEIGHTS)}


def test_an_upload_in_parts_becomes_an_object_with_its_checksum(store):
    url = put_address(store)
    for first in range(0, len(WEIGHTS), 3000):
        assert store.stat("jobs/1/best.pt") is None
        answer = put(url, WEIGHTS[first : first + 3000], first).json()
        assert answer == {"received": min(first + 3000, len(WEIGHTS))}
    stored = store.stat("jobs/1/best.pt")
    assert (stored.size, stored.sha256) == (len(WEIGHTS), hashlib.sha256(WEIGHTS).hexdigest())
    assert list(store.own_folder("uploads").iterdir()) == []


def test_an_interrupted_upload_goes_on_with_a_new_address(store):
    put(put_address(store), WEIGHTS[:3000])
    renewed = put_address(store, seconds=120)
    assert Client().head(renewed)["X-Received"] == "3000"
    assert put(renewed, WEIGHTS[3000:], 3000).json() == {"received": len(WEIGHTS)}
    assert store.get("jobs/1/best.pt") == WEIGHTS
    assert Client().head(renewed)["X-Received"] == str(len(WEIGHTS))


def test_a_part_sent_again_is_answered_with_what_is_there(store):
    url = put_address(store)
    for first, last, received in ((0, 3000, 3000), (0, 3000, 3000), (2000, 4000, 4000), (1000, 2000, 4000)):
        assert put(url, WEIGHTS[first:last], first).json() == {"received": received}
    put(url, WEIGHTS[4000:], 4000)
    assert put(url, WEIGHTS[4000:], 4000).json() == {"received": len(WEIGHTS)}
    assert store.get("jobs/1/best.pt") == WEIGHTS


def test_a_part_out_of_order_is_409_with_the_next_byte(store):
    url = put_address(store)
    put(url, WEIGHTS[:100])
    response = put(url, WEIGHTS[200:300], 200)
    assert (response.status_code, response.json()["received"]) == (409, 100)


def test_bytes_with_another_checksum_are_400_and_the_upload_begins_anew(store):
    url = put_address(store)
    response = put(url, WEIGHTS[::-1])
    assert (response.status_code, response.json()["error"]) == (400, "sha256")
    assert store.stat("jobs/1/best.pt") is None
    assert list(store.own_folder("uploads").iterdir()) == []
    assert put(url, WEIGHTS).json() == {"received": len(WEIGHTS)}


def test_a_part_that_was_damaged_on_its_way_is_400_and_what_was_received_stays(store):
    url, half = put_address(store), len(WEIGHTS) // 2
    assert put(url, WEIGHTS[:half], **{"content-digest": content_digest(WEIGHTS[:half])}).status_code == 200
    refused = put(url, WEIGHTS[half:], half, **{"content-digest": content_digest(b"other")})
    assert (refused.status_code, refused.json()["error"], refused.json()["received"]) == (400, "digest", half)
    digest = content_digest(WEIGHTS[half:])
    assert put(url, WEIGHTS[half:], half, **{"content-digest": digest}).json() == {"received": len(WEIGHTS)}


def test_a_larger_or_smaller_body_than_signed_is_403(store):
    url = put_address(store)
    assert put(url, WEIGHTS + b"x", size=len(WEIGHTS) + 1).status_code == 403
    assert put(url, WEIGHTS[:10], size=10).status_code == 403
    assert put(url, WEIGHTS + b"x").status_code == 403
    assert Client().put(url, WEIGHTS[:-1]).status_code == 403
    assert Client().head(url)["X-Received"] == "0"


@pytest.mark.parametrize("header", ["bytes 0-5/10240", "bytes */10240", "bytes 5-0/10240", "nonsense", ""])
def test_a_content_range_that_does_not_fit_is_400(store, header):
    response = put(put_address(store), WEIGHTS, **{"content-range": header})
    assert (response.status_code, response.json()["error"]) == (400, "content_range")


def test_a_part_of_more_than_8_mib_is_413(store):
    data = bytes(store.part_size + 1)
    assert put(put_address(store, data), data, size=len(data)).status_code == 413


def test_a_full_disk_is_507_and_what_was_received_stays(store, monkeypatch):
    url = put_address(store)
    put(url, WEIGHTS[:3000])
    monkeypatch.setattr(Upload, "_finish", lambda upload: (_ for _ in ()).throw(OSError(28, "No space left")))
    assert put(url, WEIGHTS[3000:], 3000).status_code == 507
    assert Client().head(url)["X-Received"] == str(len(WEIGHTS) - 1)


def test_a_server_killed_before_verifying_asks_for_the_last_byte_again(store):
    url = put_address(store)
    put(url, WEIGHTS[:3000])
    next(store.own_folder("uploads").iterdir()).write_bytes(WEIGHTS)
    assert Client().head(url)["X-Received"] == str(len(WEIGHTS) - 1)
    assert put(url, WEIGHTS[-1:], len(WEIGHTS) - 1).json() == {"received": len(WEIGHTS)}
    assert store.get("jobs/1/best.pt") == WEIGHTS


def test_many_senders_of_the_same_upload_add_no_byte_twice(store):
    url = put_address(store)
    parts = [(first, WEIGHTS[first : first + 2500]) for first in range(0, len(WEIGHTS), 2500)]

    async def send(first: int, data: bytes) -> int:
        headers = {"content-range": f"bytes {first}-{first + len(data) - 1}/{len(WEIGHTS)}"}
        response = await AsyncClient().put(url, data, content_type="application/octet-stream", headers=headers)
        return response.status_code

    async def everyone() -> set[int]:
        answers: set[int] = set()
        for first, data in parts:
            answers |= set(await asyncio.gather(*(send(first, data) for _ in range(5))))
        return answers

    assert asyncio.run(everyone()) == {200}
    assert store.get("jobs/1/best.pt") == WEIGHTS


def test_an_upload_that_nobody_went_on_with_is_forgotten(store, monkeypatch):
    put(put_address(store, key="old"), WEIGHTS[:3000])
    (store.own_folder("new") / "left-by-a-killed-process").write_bytes(b"1")
    now = time.time()
    monkeypatch.setattr("training.storage.upload.time.time", lambda: now + 25 * 3600)
    Upload(store, "new", 10, "0" * 64).add(0, b"12345")
    assert [path.stat().st_size for path in store.own_folder("uploads").iterdir()] == [5]
    assert list(store.own_folder("new").iterdir()) == []


@rules(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=400), sizes=st.lists(st.integers(1, 120), min_size=1), back=st.integers(0, 50))
def test_stored_bytes_are_the_bytes_sent_under_any_part_sizes(store, data, sizes, back):
    upload = Upload(store, f"x/{hashlib.sha256(data).hexdigest()}", len(data), hashlib.sha256(data).hexdigest())
    received, turn = 0, 0
    while received < len(data) or not turn:
        first = max(0, received - back)
        received = upload.add(first, data[first : received + sizes[turn % len(sizes)]])
        turn += 1
    assert store.get(upload.key) == data
    store.delete(upload.key)
