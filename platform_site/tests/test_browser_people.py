"""Two people's whole way through Chromium: sign-up, invitation, data, a real YOLO trained, tried on a picture."""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from platform_site.tests.test_end_to_end import Platform
from training.tests.datasets_tasks import folder_of

pytestmark = [pytest.mark.browser, pytest.mark.end_to_end, pytest.mark.timeout(400)]
PASSWORD = "correct horse battery"
WAIT = 60_000  # for what a worker does a slow machine may take its time; what is waited for is a condition
FOREIGN = """
import django; django.setup()
from training.models import *
foreign = Organization.objects.create(name="Foreign", slug="foreign")
Project.objects.create(organization=foreign, name="A foreign project")
"""


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    """The folder in which the site puts its letters."""
    folder = tmp_path / "letters"
    folder.mkdir()
    return folder


@pytest.fixture
def platform(letters: Path, tmp_path: Path) -> Iterator[Platform]:
    """`manage.py up` with a folder to import, and another organization's project."""
    folder_of("detection", tmp_path / "import" / "digits")
    platform = Platform(tmp_path, EMAIL_URL=f"filemail:///{letters}", IMPORT_ROOTS=os.fspath(tmp_path / "import"))
    platform.start()
    deadline = time.monotonic() + 120
    while "The platform runs at" not in platform.log.read_text():
        assert time.monotonic() < deadline, platform.log.read_text()
        time.sleep(0.2)
    platform.run("-c", FOREIGN)
    yield platform
    platform.stop()


@pytest.fixture
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()


def window(chromium: Browser, platform: Platform) -> Page:
    page = chromium.new_context(base_url=f"http://127.0.0.1:{platform.port}").new_page()
    page.set_default_timeout(WAIT)
    return page


def link_in(page: Page, letters: Path, pattern: str) -> str:
    """The link of the newest letter that has such a one; letters are sent a moment after the answer."""
    for _ in range(600):
        for file in sorted(letters.iterdir(), key=lambda one: one.stat().st_mtime_ns, reverse=True):
            if found := re.search(rf"^http://\S+({pattern}\S+)$", file.read_text(), re.MULTILINE):
                return found[1]
        page.wait_for_timeout(100)
    raise AssertionError(f"no letter with {pattern} came")


def sign_up(page: Page, letters: Path) -> None:
    page.goto("/sign-up/")
    page.get_by_label("E-mail address").fill("kim@example.com")
    page.get_by_role("button", name="Send the letter").click()
    expect(page.get_by_role("heading", name="Look at your mail")).to_be_visible()
    page.goto(link_in(page, letters, "/sign-up/"))
    page.get_by_label("Name", exact=True).fill("kim")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Organization").fill("비전팀")
    page.get_by_role("button", name="Make the account").click()
    expect(page.get_by_role("heading", name="비전팀")).to_be_visible()


def invite(page: Page) -> None:
    page.get_by_label("E-mail address").fill("lee@example.com")
    page.get_by_role("button", name="Invite", exact=True).click()
    expect(page.get_by_text("A letter to lee@example.com is on its way")).to_be_visible()
    page.goto("/projects/new/")
    page.get_by_label("Name").fill("Bottles")
    page.get_by_role("button", name="Create project").click()
    expect(page.get_by_role("heading", name="Bottles")).to_be_visible()


def come_in(page: Page, letters: Path) -> None:
    page.goto(link_in(page, letters, "/invitations/"))
    page.get_by_label("Name", exact=True).fill("lee")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Make the account and join").click()
    expect(page.get_by_role("link", name="Bottles")).to_be_visible()
    expect(page.get_by_text("A foreign project")).to_have_count(0)


def bring_data(page: Page) -> None:
    page.goto("/datasets/")
    page.get_by_role("link", name="Import", exact=True).click()
    page.get_by_role("link", name="digits").click()
    expect(page.locator("#import-folder")).to_have_value(re.compile("/digits$"))
    page.get_by_role("button", name="Import").click()
    expect(page.locator("#import")).to_have_attribute("data-state", "completed", timeout=WAIT)


def train(page: Page) -> None:
    """As a standard engineer may: the basic settings, in a project that there is."""
    page.get_by_role("link", name="Train on this").click()
    page.locator("#job-project").fill("Bottles")
    page.locator("#job-experiment").fill("First")
    for name, value in {"epochs": "1", "imgsz": "64", "batch_size": "4", "device": "cpu"}.items():
        page.locator(f"#job-set-{name}").fill(value)
    page.get_by_role("button", name="Start training").click()
    expect(page.locator("h1")).to_have_text("yolo11n.yaml on digits", timeout=WAIT)
    expect(page.locator("#job-state")).to_have_attribute("data-state", "completed", timeout=4 * WAIT)


def try_it(page: Page, picture: Path) -> None:
    page.reload()  # the panel was being loaded anew just now, for the state that has changed
    page.wait_for_load_state("networkidle")
    page.locator("#test-picture").set_input_files(picture)
    expect(page.locator(".inference-said")).to_contain_text("ms on the CPU", timeout=WAIT)
    expect(page.locator(".inference svg image")).to_have_count(1)


def test_from_sign_up_to_a_model_that_is_tried(
    platform: Platform, chromium: Browser, letters: Path, tmp_path: Path
) -> None:
    first, second = window(chromium, platform), window(chromium, platform)
    sign_up(first, letters)
    invite(first)
    come_in(second, letters)
    bring_data(second)
    train(second)
    try_it(second, next((tmp_path / "import" / "digits").rglob("*.png")))
    first.get_by_role("link", name="People").click()
    first.get_by_role("link", name="비전팀").click()
    expect(first.get_by_role("row").filter(has_text="lee@example.com")).to_contain_text("Standard engineer")
    first.get_by_role("link", name="Audit log").click()
    for action in ("invitation.accept", "dataset.import", "job.create", "inference.create"):
        expect(first.locator("td code", has_text=action).first).to_be_visible()
