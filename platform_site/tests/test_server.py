"""The real server process: it refuses while reading, waits for slow readers, and is small."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from platform_site.tests.own_database import OwnDatabase

ROOT = Path(__file__).resolve().parent.parent.parent
MIB = 1024**2


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Site:
    """A migrated platform in a folder of its own, and its web process."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.database = OwnDatabase()
        self.environment = {**os.environ, "DATA_DIR": str(folder), "SITE_URL": f"http://127.0.0.1:{self.port}"}
        self.environment |= {"DJANGO_SETTINGS_MODULE": "platform_site.settings", **self.database.variables}
        self.run("manage.py", "migrate", "--verbosity", "0")
        command = [sys.executable, "manage.py", "serve", "--port", str(self.port)]
        self.process = subprocess.Popen(command, cwd=ROOT, env=self.environment)
        try:
            self.wait()
        except BaseException:
            self.end()
            raise

    def run(self, *arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def wait(self) -> None:
        deadline = time.monotonic() + 20
        while True:
            try:
                assert self.ask("GET", "/healthz")[0] == 200
                return
            except OSError:
                assert time.monotonic() < deadline and self.process.poll() is None
                time.sleep(0.1)

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, body)
        response = connection.getresponse()
        try:
            return response.status, response.read()
        finally:
            connection.close()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self.database.drop()

    def memory(self) -> int:
        return int(psutil.Process(self.process.pid).memory_info().rss)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("site"))
    yield site
    site.end()


def test_it_is_alive_and_ready(site: Site) -> None:
    status, body = site.ask("GET", "/readyz")
    assert status == 200
    assert json.loads(body)["checks"] == {"database": "ok", "migrations": "ok", "storage": "ok"}


def test_a_body_that_says_it_is_large_is_refused_before_it_is_read(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as client:
        client.sendall(b"POST /x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 52428800\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_large_body_is_answered_and_costs_no_memory(site: Site) -> None:
    before = site.memory()
    status, answer = site.ask("POST", "/api/v1/training/jobs/1/callback/progress", b"x" * 50 * MIB)
    assert status == 413 and json.loads(answer)["error"] == "too_large"
    assert site.memory() - before < 25 * MIB


def test_a_body_in_chunks_is_counted_while_it_comes(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as client:
        client.sendall(b"POST /x HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        for _ in range(10):
            client.sendall(chunk)
        assert client.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_stalled_reader_costs_no_memory(site: Site) -> None:
    code = (
        "import django; django.setup()\n"
        "from training.storage.store import internal_store as s\n"
        f"s().put('big.bin', b'x' * {200 * MIB}); print(s().presign_get('big.bin'))"
    )
    path = site.run("-c", code).strip().removeprefix(f"http://127.0.0.1:{site.port}")
    before = site.memory()
    with socket.create_connection(("127.0.0.1", site.port), timeout=30) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        time.sleep(2)
        assert site.memory() - before < 40 * MIB
        received = 0
        while piece := client.recv(MIB):
            received += len(piece)
    assert received > 200 * MIB and site.memory() - before < 40 * MIB


def test_what_is_loaded_is_not_looked_through_for_cycles_again() -> None:
    tell = "import gc; from platform_site import server; server.collector_settle(); known = len(gc.get_objects())"
    tell += "; print(known < 1000 < gc.get_freeze_count(), gc.get_threshold()[0] == server.COLLECT_EVERY)"
    command = [sys.executable, "-c", tell]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "platform_site.settings"}
    assert subprocess.check_output(command, cwd=ROOT, env=environment, timeout=60).split() == [b"True"] * 2
