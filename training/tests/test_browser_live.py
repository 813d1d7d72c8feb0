"""A real Chromium on a real server: points appear by themselves, outages are made good, pages work without sockets."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client
from playwright.sync_api import Browser, Page, expect, sync_playwright

from training.journal.rollup import rollup_update
from training.models import JobState, TrainingJob
from training.tests.conftest import job_make
from training.tests.journal_entries import event, lines, metrics, named, tell

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
ROOT = Path(__file__).resolve().parent.parent.parent
NO_SOCKETS = """window.WebSocket = class {
  static OPEN = 1; readyState = 3;
  constructor() { setTimeout(() => this.onclose?.({ code: 1006 }), 10); }
  addEventListener() {} send() {} close() {}
};"""
HIGHEST = """() => {
  globalThis.charts = (name) => [...document.querySelectorAll('metric-chart')].find((one) => one.names.includes(name));
  const line = charts('long')?.series.line('long', 'step');
  const at = line ? line.high.indexOf(Math.max(...line.high)) : -1;
  return at < 0 ? null : { x: line.x[at], high: line.high[at] };
}"""
POINTS = "name => [...SeriesStore.stores.values()][0].line(name, 'step').x"


def elsewhere(work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Use the database from another thread: Playwright's event loop runs in this one."""

    def call() -> Any:
        try:
            return work(*args, **kwargs)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


class Site:
    """`manage.py serve` on the tests' database."""

    def __init__(self, data: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        given = connection.settings_dict
        database = f"sqlite:///{given['NAME']}"
        if connection.vendor == "postgresql":
            who = f"{given['USER']}:{given['PASSWORD']}@{given['HOST'] or '127.0.0.1'}:{given['PORT'] or 5432}"
            database = f"postgres://{who}/{given['NAME']}"
        self.environment = os.environ | {"DATABASE_URL": database, "DATA_DIR": str(data), "SITE_URL": self.address}
        self.start()

    def start(self) -> None:
        command = [sys.executable, str(ROOT / "manage.py"), "serve", "--port", str(self.port)]
        self.process = subprocess.Popen(command, env=self.environment, cwd=ROOT)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"{self.address}/healthz", timeout=1)
                return
            except OSError:
                time.sleep(0.1)
        self.process.kill()
        self.process.wait(10)
        raise AssertionError("the site did not start")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def site(transactional_db: None, tmp_path: Path) -> Iterator[Site]:
    running = Site(tmp_path)
    yield running
    running.stop()


@pytest.fixture
def session(cast: SimpleNamespace) -> dict[str, str]:
    client = Client()
    client.force_login(cast.teammate)
    return {"name": "sessionid", "value": client.cookies["sessionid"].value}


@pytest.fixture
def running(cast: SimpleNamespace) -> TrainingJob:
    job = job_make(cast, JobState.RUNNING, name="<img src=x onerror=alert(1)>")
    tell(job, *(metrics(step=step, train__loss=1 / step) for step in range(1, 6)), lines("\x1b[32mfirst line"))
    return job


@pytest.fixture
def chromium(site: Site, session: dict[str, str], running: TrainingJob) -> Iterator[Browser]:
    """Started last: while it runs, this thread has an event loop, and Django refuses to use the database in it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()


def page_open(chromium: Browser, site: Site, session: dict[str, str], job: TrainingJob, **context: Any) -> Page:
    """The job's page in a new window; anything that its scripts complain of fails the test at `errors`."""
    script = context.pop("script", "")
    window = chromium.new_context(**context)
    window.add_cookies([{**session, "url": site.address}])  # type: ignore[list-item]
    page = window.new_page()
    page.on("dialog", lambda dialog: pytest.fail("text of a run was executed"))
    if script:
        page.add_init_script(script)
    page.goto(f"{site.address}/jobs/{job.pk}/")
    return page


def until(page: Page, script: str, holds: Callable[[Any], bool]) -> Any:
    """What the script says once it is as wanted; the page's own policy forbids Playwright's way to wait for it."""
    for _ in range(300):
        if holds(found := page.evaluate(script)):
            return found
        page.wait_for_timeout(100)
    raise AssertionError(f"still {found}")


def points(page: Page, count: int) -> list[int]:
    """The steps that the chart of `train/loss` holds, once there are `count`, or after ten seconds."""
    for _ in range(100):
        if len(found := page.evaluate(POINTS, "train/loss")) >= count:
            break
        page.wait_for_timeout(100)
    return found


def test_points_charts_lines_and_states_appear_without_a_reload(
    chromium: Browser, site: Site, session: dict[str, str], running: TrainingJob
) -> None:
    page = page_open(chromium, site, session, running)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    expect(page.locator("#connection")).to_have_text("Live")
    page.evaluate("window.sameDocument = true")
    elsewhere(tell, running, metrics(step=6, train__loss=0.0625), lines("second line"), named("val/loss", 0.5, 6))
    expect(page.locator("metric-chart .legend").first).to_contain_text("0.0625")
    expect(page.locator("metric-chart .legend button")).to_have_count(2)  # val/loss has joined train/loss
    expect(page.locator("#log-lines")).to_contain_text("second line")
    elsewhere(tell, running, named("lr/pg0", 0.01, 7))
    expect(page.locator("metric-chart")).to_have_count(2)
    elsewhere(TrainingJob.objects.filter(pk=running.pk).update, state=JobState.COMPLETED)
    elsewhere(tell, running, event(type="state", **{"from": "finalizing", "to": "completed", "by": "server"}))
    expect(page.locator("#job-state")).to_contain_text("Completed")
    assert page.evaluate("window.sameDocument") and page.evaluate(POINTS, "train/loss") == [1, 2, 3, 4, 5, 6]
    assert errors == []


def test_an_outage_is_shown_and_made_good(
    chromium: Browser, site: Site, session: dict[str, str], running: TrainingJob
) -> None:
    page = page_open(chromium, site, session, running)
    expect(page.locator("#connection")).to_have_text("Live")
    site.stop()
    expect(page.locator("#connection")).to_have_text("Reconnecting")
    elsewhere(tell, running, *(metrics(step=step, train__loss=1 / step) for step in range(6, 40)))
    site.start()
    expect(page.locator("#connection")).to_have_text("Live", timeout=30_000)
    elsewhere(tell, running, metrics(step=40, train__loss=1 / 40))
    assert points(page, 40) == list(range(1, 41))


def test_where_sockets_are_blocked_the_page_polls(
    chromium: Browser, site: Site, session: dict[str, str], running: TrainingJob
) -> None:
    page = page_open(chromium, site, session, running, script=NO_SOCKETS)
    expect(page.locator("#connection")).to_have_text("Polling", timeout=10_000)
    elsewhere(tell, running, metrics(step=6, train__loss=0.0625), lines("polled line"))
    expect(page.locator("#log-lines")).to_contain_text("polled line", timeout=10_000)
    assert points(page, 6) == [1, 2, 3, 4, 5, 6]
    assert page.locator("#log-lines li").count() == 2


def test_the_page_can_be_read_without_scripts(
    chromium: Browser, site: Site, session: dict[str, str], running: TrainingJob
) -> None:
    page = page_open(chromium, site, session, running, java_script_enabled=False)
    expect(page.locator("h1")).to_have_text("<img src=x onerror=alert(1)>")
    expect(page.locator("#job-latest")).to_contain_text("0.2000")
    expect(page.locator("#log-lines .a32")).to_have_text("first line")


def test_a_flood_of_lines_leaves_the_page_small_and_quick(
    chromium: Browser, site: Site, session: dict[str, str], running: TrainingJob
) -> None:
    page = page_open(chromium, site, session, running)
    expect(page.locator("#connection")).to_have_text("Live")
    for batch in range(30):
        elsewhere(tell, running, lines(*(f"flood {batch} {n}" for n in range(1000))))
    elsewhere(tell, running, metrics(step=6, train__loss=0.0625), lines("the last line"))
    expect(page.locator("#log-lines li").last).to_contain_text("the last line")
    expect(page.locator("metric-chart .legend").first).to_contain_text("0.0625")
    assert page.locator("#log-lines li").count() <= 2000


def test_on_a_phone_nothing_is_wider_than_the_screen(
    chromium: Browser, site: Site, session: dict[str, str], running: TrainingJob
) -> None:
    page = page_open(chromium, site, session, running, viewport={"width": 390, "height": 844}, color_scheme="dark")
    expect(page.locator("metric-chart canvas").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.goto(f"{site.address}/jobs/")
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_zooming_finds_a_single_step_in_a_long_run(
    chromium: Browser, site: Site, session: dict[str, str], running: TrainingJob
) -> None:
    def long_run() -> None:
        tell(running, *(metrics(step=step, long=9.0 if step == 12_345 else 1.0) for step in range(1, 20_001)))
        rollup_update(running.pk)

    elsewhere(long_run)
    page = page_open(chromium, site, session, running)
    seen = until(page, HIGHEST, lambda highest: highest is not None and highest["high"] == 9)
    assert seen["x"] > 12_345  # a bucket of many steps
    page.evaluate("() => charts('long').zoom(12000, 12600)")
    until(page, HIGHEST, lambda highest: highest["x"] == 12_345)
    assert page.evaluate("() => charts('long').u.scales.x.max") == 12_600
    page.evaluate("() => charts('long').u.over.dispatchEvent(new MouseEvent('dblclick'))")
    until(page, "() => charts('long').u.scales.x.max", lambda end: end >= 20_000)
