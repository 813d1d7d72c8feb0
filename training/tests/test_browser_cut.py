"""A run that is watched in a real Chromium while the network between the two is cut: nothing is missing, none twice."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace

import pytest
from django.db import connections
from playwright.sync_api import Browser, expect

from training.models import JournalRecord, RecordKind, TrainingJob
from training.tests.journal_entries import metrics, tell
from training.tests.test_browser_live import (  # noqa: F401
    POINTS,
    Site,
    chromium,
    elsewhere,
    page_open,
    running,
    session,
    site,
)

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
BEFORE, CUT, AFTER = 3.0, 5.0, 4.0
BEAT = 0.1


class Cable:
    """A TCP proxy on this machine that can be cut: what is open breaks, and nothing new comes through."""

    def __init__(self, port: int) -> None:
        self.upstream = port
        self.cut = False
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def pull(self) -> None:
        self.cut = True
        for one in self._open:
            _end(one)
        self._open.clear()

    def close(self) -> None:
        self.pull()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:  # closed
                return
            if self.cut:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self.upstream))
            self._open += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=[one, other], daemon=True).start()


def _pump(one: socket.socket, other: socket.socket) -> None:
    try:
        while data := one.recv(65_536):
            other.sendall(data)
    except OSError:
        return  # cut
    finally:
        _end(one)
        _end(other)


def _end(one: socket.socket) -> None:
    """Break a connection, also for a thread that waits for what comes through it; once is enough."""
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


@pytest.fixture
def cable(site: Site) -> Iterator[Cable]:  # noqa: F811
    made = Cable(site.port)
    yield made
    made.close()


def report(job: TrainingJob, seconds: float) -> None:
    """Ten points a second."""
    end, step = time.monotonic() + seconds, 5
    while time.monotonic() < end:
        step += 1
        tell(job, metrics(step=step, time=time.time(), train__loss=1 / step))
        time.sleep(BEAT)
    connections.close_all()


def stored(job: TrainingJob) -> int:
    return JournalRecord.objects.filter(job=job, kind=RecordKind.METRICS).count()


def test_a_cut_is_shown_and_every_point_is_drawn_once(
    chromium: Browser,  # noqa: F811
    site: Site,  # noqa: F811
    session: dict[str, str],  # noqa: F811
    running: TrainingJob,  # noqa: F811
    cable: Cable,
) -> None:
    through = SimpleNamespace(address=f"http://127.0.0.1:{cable.port}", port=cable.port)
    page = page_open(chromium, through, session, running)  # type: ignore[arg-type]
    expect(page.locator("#connection")).to_have_text("Live", timeout=20_000)
    trainer = threading.Thread(target=report, args=[running, BEFORE + CUT + AFTER])
    trainer.start()
    page.wait_for_timeout(1000 * BEFORE)
    cable.pull()
    expect(page.locator("#connection")).to_have_text("Reconnecting", timeout=10_000)
    page.wait_for_timeout(1000 * CUT)
    seen, there = len(page.evaluate(POINTS, "train/loss")), elsewhere(stored, running)
    assert seen < there
    cable.cut = False
    trainer.join()
    expect(page.locator("#connection")).to_have_text("Live", timeout=30_000)
    there = elsewhere(stored, running)
    page.wait_for_function(f"({POINTS})('train/loss').length >= {there}", timeout=20_000)
    assert page.evaluate(POINTS, "train/loss") == list(range(1, there + 1))
