"""A run that is watched in a real Chromium while the network between the two is cut: nothing is missing, none twice."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace

import pytest
from django.db import connections
from playwright.sync_api import Browser, Page, expect

from training.models import JournalRecord, RecordKind, TrainingJob
from training.tests.journal_entries import metrics, tell
from training.tests.test_browser_live import (  # noqa: F401
    POINTS,
    ROOT,
    Site,
    chromium,
    elsewhere,
    page_open,
    running,
    session,
    site,
)

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
# Seconds that the run is watched before, during and after the cut: `make test-cut` takes 20, 20 and 20.
BEFORE, CUT, AFTER = map(float, os.environ.get("CUT_SECONDS", "3 5 4").split())
BEAT = 0.1
# How many points the plot itself holds of the line.
DRAWN = """() => {
  const chart = [...document.querySelectorAll("metric-chart")].find((one) => one.names.includes("train/loss"));
  return chart.u.data[1].filter((value) => value !== null).length;
}"""
PICTURES = ROOT / "test-output" / "cut"


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


def report(job: TrainingJob, seconds: float, reported: list[int]) -> None:
    """Ten points a second, however long each takes; the steps go to `reported`."""
    began = time.monotonic()
    while (since := time.monotonic() - began) < seconds:
        step = 6 + len(reported)
        tell(job, metrics(step=step, time=time.time(), train__loss=1 / step))
        reported.append(step)
        time.sleep(max(0.0, len(reported) * BEAT - since))
    connections.close_all()


def stored(job: TrainingJob) -> int:
    return JournalRecord.objects.filter(job=job, kind=RecordKind.METRICS).count()


@pytest.mark.timeout(120 + 2 * (BEFORE + CUT + AFTER))
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
    reported: list[int] = []
    trainer = threading.Thread(target=report, args=[running, BEFORE + CUT + AFTER, reported])
    trainer.start()
    page.wait_for_timeout(1000 * BEFORE)
    picture_keep(page, "1 before the cut")
    cable.pull()
    expect(page.locator("#connection")).to_have_text("Reconnecting", timeout=10_000)
    page.wait_for_timeout(1000 * CUT)
    picture_keep(page, "2 at the end of the cut")
    expect(page.locator("#connection")).to_have_text("Reconnecting")
    seen, there = len(page.evaluate(POINTS, "train/loss")), elsewhere(stored, running)
    unseen = there - seen
    assert unseen > 0
    cable.cut = False
    trainer.join()
    expect(page.locator("#connection")).to_have_text("Live", timeout=30_000)
    there = elsewhere(stored, running)
    assert there == 5 + len(reported)
    page.wait_for_function(f"({POINTS})('train/loss').length >= {there}", timeout=20_000)
    assert page.evaluate(POINTS, "train/loss") == list(range(1, there + 1))
    assert page.evaluate(DRAWN) == there
    picture_keep(page, "3 after the cut")
    told = f"{len(reported)} points in {BEFORE + CUT + AFTER:g} s, {unseen} of them not yet seen at the end of the cut"
    (PICTURES / "count.txt").write_text(f"{told}; stored {there}, drawn {page.evaluate(DRAWN)}\n")


def picture_keep(page: Page, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.locator("metric-chart").first.scroll_into_view_if_needed()
    page.screenshot(path=PICTURES / f"{name.replace(' ', '-')}.png")
