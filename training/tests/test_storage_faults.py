"""An S3 server that is busy, breaks off or lets an address expire: all arrives once and whole, or not at all."""

import hashlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from trainers.sdk.errors import StorageError
from trainers.sdk.parts import Address, Part
from trainers.sdk.signed import SignedFiles
from training.storage.store import Store, internal_store
from training.tests.object_server import ObjectServer

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(300)]
KEY = "jobs/1/attempts/1/checkpoints/last.pt"
DATA = bytes(range(256)) * (17 << 12)  # 17 MiB: three parts
BUSY = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Weather:
    """Stands before a server; each connection meets the next of `faults`: None, "busy", or bytes until it breaks."""

    def __init__(self, port: int) -> None:
        self.port, self.faults = port, list[Any]()
        self.door = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.door.getsockname()[1]}"
        threading.Thread(target=self._open, daemon=True).start()

    def _open(self) -> None:
        while True:
            try:
                caller, _ = self.door.accept()
            except OSError:
                return
            threading.Thread(target=self._meet, args=(caller, self.faults.pop(0) if self.faults else None)).start()

    def _meet(self, caller: socket.socket, fault: Any) -> None:
        if fault == "busy":
            caller.sendall(BUSY)
            caller.shutdown(socket.SHUT_WR)
            while caller.recv(1 << 16):
                continue
            caller.close()
            return
        server = socket.create_connection(("127.0.0.1", self.port))
        back = threading.Thread(target=_pour, args=(server, caller, fault))
        back.start()
        _pour(caller, server, fault)
        back.join()
        server.close()
        caller.close()


def _pour(source: socket.socket, target: socket.socket, most: int | None) -> None:
    """Pass on what comes, at most so many bytes; then both ends are told that it is over."""
    passed = 0
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
            passed += len(data)
            if most and passed > most:
                break
    except OSError:
        passed = -1  # the other direction broke off
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            passed = -1  # it is closed already


@pytest.fixture
def weather(settings: Any, object_server: ObjectServer, stores_on_s3: None) -> Iterator[Weather]:
    found = Weather(urlsplit(object_server.url).port or 0)
    settings.INTERNAL_STORAGE_ENDPOINT = found.url
    yield found
    found.door.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "last.pt").write_bytes(DATA)
    return tmp_path / "last.pt"


class Platform:
    """Gives out addresses as `urls` does; the first ones may have expired."""

    def __init__(self, store: Store, expired: int = 0) -> None:
        self.store, self.expired, self.asked = store, expired, 0

    def __call__(self) -> Address:
        self.asked += 1
        seconds = -1 if self.asked <= self.expired else 600
        offer = self.store.upload_offer(KEY, len(DATA), hashlib.sha256(DATA).hexdigest(), seconds)
        return Address(KEY, parts=tuple(Part.of(told) for told in offer["parts"]))


@pytest.mark.parametrize("faults", [["busy", "busy"], [7 << 20, 1 << 20], ["busy", 12 << 20, 100]])
def test_a_checkpoint_arrives_whole_through_bad_weather(weather: Weather, file: Path, faults: list[Any]) -> None:
    store = internal_store()
    store.stat(KEY)  # the platform's own connection is there already
    weather.faults = faults
    assert SignedFiles().put(file, Platform(store)) == KEY
    assert weather.faults == [] and store.get(KEY) == DATA


def test_an_expired_address_is_renewed_once(weather: Weather, file: Path) -> None:
    assert SignedFiles().put(file, Platform(internal_store(), expired=1)) == KEY
    assert internal_store().get(KEY) == DATA


def test_two_refusals_in_a_row_are_an_error_and_no_object(weather: Weather, file: Path) -> None:
    with pytest.raises(StorageError, match="refused it: 403"):
        SignedFiles().put(file, Platform(internal_store(), expired=2))
    assert internal_store().stat(KEY) is None


def test_a_reading_that_breaks_off_goes_on_where_it_stopped(weather: Weather, file: Path) -> None:
    weather.faults = [None]
    internal_store().put(KEY, file)
    weather.faults = [15 << 20, 1 << 20]
    again: Any = type(internal_store())("internal", internal_store().url)  # with no connection yet
    assert b"".join(again.read(KEY)) == DATA
    assert weather.faults == []


def test_the_platforms_own_upload_meets_a_busy_server(weather: Weather, file: Path) -> None:
    weather.faults = ["busy", "busy"]
    internal_store().put(KEY, file)
    assert weather.faults == [] and internal_store().sha256(KEY) == hashlib.sha256(DATA).hexdigest()
