"""SIGTERM to a real web process: what has begun is finished, sockets are told to come back, nothing new is taken."""

import base64
import http.client
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from platform_site.tests.test_server import MIB, Site

PRESIGN = (
    "import django; django.setup()\n"
    "from training.storage.store import internal_store as s\n"
    f"s().put('big.bin', b'x' * {60 * MIB}); print(s().presign_get('big.bin'))"
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.end()


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def wait_until_it_refuses(site: Site) -> None:
    deadline = time.monotonic() + 20
    while not refuses(site.port):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_download_in_flight_is_finished_and_nothing_new_is_taken(site: Site) -> None:
    path = site.run("-c", PRESIGN).strip().removeprefix(f"http://127.0.0.1:{site.port}")
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    received = len(answer.read(MIB))
    site.process.send_signal(signal.SIGTERM)
    wait_until_it_refuses(site)
    assert site.process.poll() is None
    while piece := answer.read(MIB):
        received += len(piece)
    assert received == 60 * MIB
    assert site.process.wait(20) == 0


def test_a_socket_is_closed_so_that_browsers_come_back(site: Site) -> None:
    cookie = sign_in(site)
    with socket.create_connection(("127.0.0.1", site.port), timeout=30) as watching:
        watching.sendall(handshake(site.port, cookie))
        assert watching.recv(65536).startswith(b"HTTP/1.1 101")
        watching.sendall(frame(b'{"after": 0}'))
        heard = b""
        while b"points" not in heard:  # the page's socket has begun
            heard += watching.recv(65536)
        site.process.send_signal(signal.SIGTERM)
        close = b"\x88\x02" + (1012).to_bytes(2, "big")
        heard = b""
        while close not in heard:
            piece = watching.recv(65536)
            assert piece, heard[-200:]
            heard += piece
    assert site.process.wait(20) == 0


def handshake(port: int, cookie: str) -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    lines = ["GET /ws/training/1/ HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Origin: http://127.0.0.1:{port}"]
    lines += ["Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
    return "\r\n".join([*lines, f"Cookie: sessionid={cookie}", "", ""]).encode()


def frame(text: bytes) -> bytes:
    """A short text frame as a client sends it: masked, here with zeros (RFC 6455, 5.2)."""
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text


def sign_in(site: Site) -> str:
    """A session of somebody who may see job 1, which is made for it."""
    return site.run(
        "-c",
        "import django; django.setup()\n"
        "from django.test import Client\n"
        "from training.models import *\n"
        "user = User.objects.create_user('u', 'u@example.com', 'a long password')\n"
        "ours = Organization.objects.create(name='o', slug='o')\n"
        "Membership.objects.create(user=user, organization=ours, role=Role.ADMIN)\n"
        "project = Project.objects.create(organization=ours, name='p')\n"
        "experiment = Experiment.objects.create(project=project, name='e')\n"
        "TrainingJob.objects.create(pk=1, experiment=experiment, name='j', trainer='example', task_type='x', "
        "model_name='m', created_by=user)\n"
        "client = Client(); client.force_login(user); print(client.cookies['sessionid'].value)",
    ).strip()


@pytest.fixture
def impatient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("WEB_DRAIN_SECONDS", "1")
    site = Site(tmp_path)
    yield site
    site.end()


def test_an_idle_connection_and_a_stalled_reader_do_not_keep_it_for_ever(impatient: Site) -> None:
    path = impatient.run("-c", PRESIGN).strip().removeprefix(f"http://127.0.0.1:{impatient.port}")
    with socket.create_connection(("127.0.0.1", impatient.port), timeout=30) as stalled:
        stalled.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        stalled.recv(100)
        threading.Timer(0.1, impatient.process.terminate).start()
        assert impatient.process.wait(30) == 0
