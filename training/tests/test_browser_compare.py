"""A real Chromium at 50 jobs side by side, chosen by a guest; and at what a chart offers beside its lines."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from django.test import Client
from playwright.sync_api import Page, expect, sync_playwright

from training.models import JobState, MetricSummary, TrainingJob
from training.tests.conftest import job_make
from training.tests.journal_entries import metrics, tell
from training.tests.test_browser_live import Site, site, until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
__all__ = ["site"]  # a fixture
SECONDS = 30_000
CHART = "() => document.querySelector('metric-chart')"


@pytest.fixture
def jobs(cast: SimpleNamespace) -> list[TrainingJob]:
    made = []
    for number in range(50):
        config = {"epochs": 9, "lr0": number / 100, "optimizer": ["SGD", "AdamW"][number % 2]}
        job = job_make(cast, JobState.RUNNING, name=f"run {number}", config=config)
        tell(job, *(metrics(step=step, loss=float("nan") if step == 3 else number + 1 / step) for step in range(1, 9)))
        MetricSummary.objects.create(job=job, name="loss", best=float(number), latest=float(number))
        made.append(job)
    return made


@pytest.fixture
def page(site: Site, cast: SimpleNamespace, jobs: list[TrainingJob]) -> Iterator[Page]:
    """A guest's window, in which nothing is complained of."""
    client = Client()
    client.force_login(cast.teammate)
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": site.address}
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        window = browser.new_context(base_url=site.address, color_scheme="dark")
        window.add_cookies([cookie])  # type: ignore[list-item]
        window.set_default_timeout(SECONDS)
        opened = window.new_page()
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        yield opened
        browser.close()
    assert errors == []


def test_a_guest_compares_fifty_jobs(page: Page, jobs: list[TrainingJob]) -> None:
    page.goto("/jobs/")
    page.get_by_role("checkbox", name=f"Choose {jobs[-1].name}", exact=True).check()
    expect(page.get_by_role("button", name="Compare")).to_be_disabled()  # with what?
    page.get_by_role("checkbox", name="Choose all on this page").check()
    expect(page.locator("#bulk-bar button")).to_have_count(1)  # a guest changes nothing
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("h1")).to_have_text("Compare 50 jobs")
    expect(page.locator("compare-chart .legend button")).to_have_count(50)
    expect(page.locator("#parallel .line")).to_have_count(50)
    page.get_by_label("Across").select_option("setting lr0")
    page.wait_for_url("**x=setting+lr0**")
    expect(page.locator("#scatter circle")).to_have_count(50)
    expect(page.locator("#scatter a").first).to_have_attribute("href", f"/jobs/{jobs[-1].pk}/")
    epochs = page.get_by_role("rowheader", name="epochs", exact=True)
    expect(epochs).to_be_visible()
    page.get_by_label("Hide equal").check()
    page.wait_for_url("**hide=yes**")
    expect(epochs).to_have_count(0)
    expect(page.get_by_role("rowheader", name="lr0")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV", exact=True).first.click()
    assert len(download.value.path().read_text().splitlines()) == 51
    marks = "() => document.querySelector('compare-chart metric-chart').marks?.length"
    until(page, marks, lambda count: count == 50)  # where each was not a number
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_chart_has_a_log_axis_smoothing_a_picture_and_the_full_screen(page: Page, jobs: list[TrainingJob]) -> None:
    page.goto(f"/jobs/{jobs[0].pk}/")
    expect(page.locator("metric-chart canvas")).to_be_visible()
    assert page.evaluate(f"({CHART})().marks.map((one) => one.x)") == [3]  # NaN
    page.get_by_label("Log scale").check()
    until(page, f"({CHART})().u.scales.y.distr", lambda kind: kind == 3)
    page.get_by_label("Smoothing").fill("0.6")
    until(page, f"({CHART})().drawn.map((one) => one.kind)", lambda kinds: kinds == ["raw", "main"])
    page.get_by_label("loss: download").click()
    with page.expect_download() as download:
        page.locator("metric-chart .menu").get_by_role("button", name="PNG").click()
    assert download.value.suggested_filename == "loss.png"
    assert download.value.path().read_bytes().startswith(b"\x89PNG")
    before = page.evaluate(f"({CHART})().u.height")
    page.get_by_label("loss: full screen").click()
    until(page, f"({CHART})().u.height", lambda height: height > before)
    assert page.evaluate("() => document.fullscreenElement.localName") == "metric-chart"
    page.get_by_label("loss: full screen").click()
    until(page, f"({CHART})().u.height", lambda height: height == before)
