"""A real Chromium, a keyboard and a phone: the palette, the shortcuts, the menu, pages that don't jump."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Browser, Page, expect, sync_playwright

from training.models import JobState, MetricSummary, TrainingJob
from training.tests.conftest import job_make
from training.tests.journal_entries import lines, metrics, tell
from training.tests.test_browser_every_page import AXE, BAD
from training.tests.test_browser_live import Site, elsewhere, site

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
__all__ = ["site"]  # a fixture
PHONE = {"width": 390, "height": 844}
SHIFTS = """globalThis.shifts = [];
new PerformanceObserver((list) => {
  const named = ({ node }) => node?.id || node?.className || node?.nodeName;
  for (const one of list.getEntries()) if (!one.hadRecentInput) shifts.push([one.value, ...one.sources.map(named)]);
}).observe({ type: "layout-shift", buffered: true });"""
expect.set_options(timeout=20_000)


@pytest.fixture
def jobs(cast: SimpleNamespace) -> list[TrainingJob]:
    made = [job_make(cast, JobState.RUNNING, name=f"night run {n}", config={"epochs": 9}) for n in range(3)]
    tell(
        made[0],
        *(metrics(step=step, epoch=0, train__loss=1 / step, val__loss=2.0) for step in range(1, 6)),
        lines("first line"),
    )
    MetricSummary.objects.create(job=made[0], name="train/loss", best=0.2, latest=0.2)
    return made


@pytest.fixture
def session(cast: SimpleNamespace) -> str:
    client = Client()
    client.force_login(cast.owner)
    return client.cookies["sessionid"].value


@pytest.fixture
def chromium(site: Site, session: str, jobs: list[TrainingJob]) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(chromium: Browser, site: Site, session: str, **options: Any) -> Page:
    context = chromium.new_context(base_url=site.address, **options)
    context.add_cookies([{"name": "sessionid", "value": session, "url": site.address}])
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    return page


def focused(page: Page) -> str:
    return str(page.evaluate("() => document.activeElement.textContent.trim()"))


def test_the_menu_of_a_phone_needs_no_scripts(chromium: Browser, site: Site, session: str) -> None:
    page = opened(chromium, site, session, java_script_enabled=False, viewport=PHONE)
    page.goto("/")
    menu = page.get_by_role("navigation", name="Main")
    expect(menu).to_be_hidden()
    page.get_by_role("button", name="Menu").click()
    links = ["Home", "Jobs", "Datasets", "Weights", "Projects", "Workers", "People", "Account of owner", "Go to …"]
    assert set(links) <= set(menu.get_by_role("link").all_inner_texts())
    menu.get_by_role("link", name="Projects").click()
    expect(page.get_by_role("heading", name="Projects", exact=True)).to_be_visible()


def test_a_keyboard_alone_finds_a_job_and_goes_there(
    chromium: Browser, site: Site, session: str, jobs: list[TrainingJob]
) -> None:
    page = opened(chromium, site, session)
    page.add_init_script(path=str(AXE / "axe.min.js"))
    page.goto("/datasets/")
    page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name="Go to a page, job, dataset or project")
    expect(field).to_be_focused()
    expect(page.get_by_role("option", name="Page Home")).to_be_visible()
    assert page.evaluate(BAD, []) == []  # with the dialog open
    page.keyboard.type("night")
    expect(page.get_by_role("option")).to_have_count(3)
    expect(field).to_have_attribute("aria-activedescendant", "palette-0")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option", selected=True)).to_contain_text("night run 1")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("night run 1")
    page.wait_for_load_state()  # its scripts come after its heading
    page.keyboard.press("Meta+k")
    expect(field).to_be_focused()
    page.keyboard.type("nothing is called so")
    expect(page.locator(".palette-said")).to_have_text("Nothing is called so.")
    page.keyboard.press("Escape")
    expect(page.locator("dialog.palette")).to_be_hidden()
    page.keyboard.press("Control+k")
    page.keyboard.type("night run 2")
    page.keyboard.press("Enter")  # before the list has come
    expect(page.locator("h1")).to_have_text("night run 2")


def test_shortcuts_lead_through_rows_and_pages(chromium: Browser, site: Site, session: str) -> None:
    page = opened(chromium, site, session)
    page.add_init_script(path=str(AXE / "axe.min.js"))
    page.goto("/jobs/")
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    page.keyboard.press("Enter")
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert focused(page) == "night run 1"
    assert page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") == "solid"
    with page.expect_response("**/jobs/rows/**"):  # the rows come anew, and the focus stays
        pass
    page.wait_for_timeout(300)
    assert focused(page) == "night run 1"
    page.keyboard.press("x")
    expect(page.locator("#bulk-count")).to_have_text("1 chosen")
    page.keyboard.press("k")
    assert focused(page) == "night run 2"
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Shortcuts")).to_be_visible()
    assert page.evaluate(BAD, []) == []
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    assert page.evaluate("() => document.documentElement.dataset.theme") == "dark"
    page.keyboard.press("/")
    page.keyboard.type("jt?")  # typed, not a shortcut
    assert page.evaluate("() => document.activeElement.value") == "jt?"
    page.keyboard.press("Tab")
    page.keyboard.press("g")
    page.keyboard.press("p")
    expect(page.get_by_role("heading", name="Projects", exact=True)).to_be_visible()


def test_what_comes_live_moves_nothing(chromium: Browser, site: Site, session: str, jobs: list[TrainingJob]) -> None:
    page = opened(chromium, site, session, viewport={"width": 1280, "height": 900})
    page.add_init_script(SHIFTS)
    page.goto(f"/jobs/{jobs[0].pk}/")
    expect(page.locator("#connection")).to_have_text("Live")
    expect(page.locator("metric-chart canvas").first).to_be_visible()
    page.wait_for_timeout(500)
    first = page.evaluate("() => shifts.splice(0)")
    assert sum(one[0] for one in first) < 0.1, first
    for step in range(6, 16):
        elsewhere(
            tell,
            jobs[0],
            metrics(step=step, epoch=step // 8, train__loss=1 / step, val__loss=2.0),
            lines(f"line {step}"),
        )
        page.wait_for_timeout(150)
    expect(page.locator("#log-lines")).to_contain_text("line 15")
    live = page.evaluate("() => shifts")
    assert sum(one[0] for one in live) < 0.02, live
    page.goto(f"/compare/?jobs={jobs[0].pk},{jobs[1].pk}")
    expect(page.locator("compare-chart canvas")).to_be_visible()
    drawn = page.evaluate("() => shifts")
    assert sum(one[0] for one in drawn) < 0.1, drawn
