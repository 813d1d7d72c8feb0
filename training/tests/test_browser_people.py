"""The way of two people through a real Chromium: sign up, prove the address, invite; the second comes in and sees."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from training.models import Organization, Project
from training.tests.conftest import person
from training.tests.test_browser_live import Site, elsewhere

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PASSWORD = "correct horse battery"
expect.set_options(timeout=30_000)


@pytest.fixture
def letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the site puts its letters."""
    folder = tmp_path / "letters"
    folder.mkdir()
    monkeypatch.setenv("EMAIL_URL", f"filemail:///{folder}")
    return folder


@pytest.fixture
def site(letters: Path, transactional_db: None, tmp_path: Path) -> Iterator[Site]:
    running = Site(tmp_path)
    yield running
    running.stop()


@pytest.fixture
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()


def window(chromium: Browser, site: Site) -> tuple[BrowserContext, Page]:
    context = chromium.new_context(base_url=site.address)
    page = context.new_page()
    page.set_default_timeout(30_000)
    return context, page


def link_in(page: Page, letters: Path, pattern: str) -> str:
    """The link of the newest letter that has such a one; letters are sent a moment after the answer."""
    for _ in range(300):
        for file in sorted(letters.iterdir(), key=lambda one: one.stat().st_mtime_ns, reverse=True):
            if found := re.search(rf"^http://\S+({pattern}\S+)$", file.read_text(), re.MULTILINE):
                return found[1]
        page.wait_for_timeout(100)
    raise AssertionError(f"no letter with {pattern} came")


def others_made() -> None:
    foreign = Organization.objects.create(name="Foreign", slug="foreign")
    Project.objects.create(organization=foreign, name="A foreign project")
    person("stranger", foreign)


def test_sign_up_invite_and_come_in(site: Site, chromium: Browser, letters: Path) -> None:
    elsewhere(others_made)
    _, first = window(chromium, site)
    first.goto("/sign-up/")
    first.get_by_label("E-mail address").fill("kim@example.com")
    first.get_by_role("button", name="Send the letter").click()
    expect(first.get_by_role("heading", name="Look at your mail")).to_be_visible()

    first.goto(link_in(first, letters, "/sign-up/"))
    first.get_by_label("Name", exact=True).fill("kim")
    first.get_by_label("Password").fill(PASSWORD)
    first.get_by_label("Organization").fill("비전팀")
    first.get_by_role("button", name="Make the account").click()
    expect(first.get_by_role("heading", name="비전팀")).to_be_visible()

    first.get_by_label("E-mail address").fill("lee@example.com")
    first.get_by_role("button", name="Invite", exact=True).click()
    expect(first.get_by_text("A letter to lee@example.com is on its way")).to_be_visible()
    first.goto("/projects/new/")
    first.get_by_label("Name").fill("Bottles")
    first.get_by_role("button", name="Create project").click()
    expect(first.get_by_role("heading", name="Bottles")).to_be_visible()

    _, second = window(chromium, site)
    second.goto(link_in(second, letters, "/invitations/"))
    second.get_by_label("Name", exact=True).fill("lee")
    second.get_by_label("Password").fill(PASSWORD)
    second.get_by_role("button", name="Make the account and join").click()
    expect(second.get_by_role("link", name="Bottles")).to_be_visible()
    expect(second.get_by_text("A foreign project")).to_have_count(0)

    first.get_by_role("link", name="People").click()
    first.get_by_role("link", name="비전팀").click()
    expect(first.get_by_role("row").filter(has_text="lee@example.com")).to_contain_text("Standard engineer")
    first.get_by_role("link", name="Audit log").click()
    expect(first.locator("td code", has_text="invitation.accept")).to_be_visible()
