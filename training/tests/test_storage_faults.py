"""An S3 server that is busy, breaks off or lets an address expire: all arrives once and whole, or not at all."""

import hashlib
import socket
import threading
import time
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
    """Stands before a server; each connection meets the next of `faults`.

    These are None, "busy", a whole answer, or how many bytes pass until it breaks: alone, or with the seconds that it
    hangs before.
    """

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
        if fault == "busy" or isinstance(fault, bytes):
            caller.sendall(BUSY if fault == "busy" else fault)
            caller.shutdown(socket.SHUT_WR)
            while caller.recv(1 << 16):
                continue
            caller.close()
            return
        most, hangs = fault if isinstance(fault, tuple) else (fault, 0.0)
        server = socket.create_connection(("127.0.0.1", self.port))
        back = threading.Thread(target=_pour, args=(server, caller, most, hangs))
        back.start()
        _pour(caller, server, most, hangs)
        back.join()
        server.close()
        caller.close()


def _pour(source: socket.socket, target: socket.socket, most: int | None, hangs: float) -> None:
    """Pass on what comes, at most so many bytes; then both ends are told that it is over."""
    passed = 0
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
            passed += len(data)
            if most and passed > most:
                time.sleep(hangs)
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

    def __init__(self, store: Store, expired: int = 0, short: int = 0) -> None:
        self.store, self.expired, self.short, self.asked = store, expired, short, 0

    def __call__(self) -> Address:
        self.asked += 1
        seconds = -1 if self.asked <= self.expired else 2 if self.asked <= self.short else 600
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


def test_addresses_that_expire_in_the_middle_of_an_upload_are_renewed(weather: Weather, file: Path) -> None:
    store = internal_store()
    store.stat(KEY)
    platform = Platform(store, short=1)
    weather.faults = [(9 << 20, 2.5)]
    assert SignedFiles().put(file, platform) == KEY
    assert store.get(KEY) == DATA and platform.asked > 2


class Asked:
    """Gives out addresses to download from; the first ones are good for some seconds only."""

    def __init__(self, *seconds: int) -> None:
        self.seconds, self.asked = list(seconds), 0

    def __call__(self) -> str:
        self.asked += 1
        return internal_store().presign_get(KEY, self.seconds.pop(0) if self.seconds else 600)


@pytest.mark.parametrize(
    ("faults", "seconds", "asked"),
    [
        (["busy", "busy"], [], 1),
        ([7 << 20, 1 << 20, "busy"], [], 1),
        ([int(0.9 * len(DATA))], [], 1),
        ([], [-1], 2),
        ([(7 << 20, 2.5)], [2], 2),
    ],
    ids=["busy", "breaks", "breaks at nine tenths", "expired", "expires in the middle"],
)
def test_a_download_arrives_whole_through_bad_weather(
    weather: Weather, file: Path, tmp_path: Path, faults: list[Any], seconds: list[int], asked: int
) -> None:
    internal_store().put(KEY, file)
    weather.faults, addresses = list(faults), Asked(*seconds)
    SignedFiles().get(addresses, tmp_path / "got.pt", len(DATA), hashlib.sha256(DATA).hexdigest())
    assert (tmp_path / "got.pt").read_bytes() == DATA
    assert (weather.faults, addresses.asked) == ([], asked)


def test_an_object_that_is_replaced_while_it_is_downloaded_is_not_mixed(
    weather: Weather, file: Path, tmp_path: Path
) -> None:
    internal_store().put(KEY, file)
    other = DATA[::-1]
    weather.faults = [(7 << 20, 3.0)]
    replacing = threading.Timer(1.0, lambda: internal_store().put(KEY, other))
    replacing.start()
    SignedFiles().get(Asked(), tmp_path / "got.pt", None, None)
    replacing.join()
    assert (tmp_path / "got.pt").read_bytes() == other


def test_two_addresses_in_a_row_that_have_expired_are_an_error(weather: Weather, file: Path, tmp_path: Path) -> None:
    internal_store().put(KEY, file)
    with pytest.raises(StorageError, match="so has the new one"):
        SignedFiles().get(Asked(-1, -1), tmp_path / "got.pt", None, None)
    assert not (tmp_path / "got.pt").exists()


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
