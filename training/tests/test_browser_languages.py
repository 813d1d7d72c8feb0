"""A real Chromium: the switch between languages, and pages and live news in the one that was chosen."""

from types import SimpleNamespace

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from training.models import JobState, TrainingJob, User
from training.tests.journal_entries import event, tell
from training.tests.test_browser_every_page import (
    PHONE,
    WIDER,
    addresses,
    full,
    sessions,
    window,
)
from training.tests.test_browser_every_page import chromium as chromium_of_all
from training.tests.test_browser_live import Site, chromium, elsewhere, page_open, running, session, site

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
__all__ = ["addresses", "chromium", "chromium_of_all", "full", "running", "session", "sessions", "site"]  # fixtures


def switch(page: Page, name: str, code: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()
    expect(page.locator(f"html[lang={code}]")).to_be_attached()


def test_a_page_and_its_live_news_change_language_and_back(
    chromium: Browser, site: Site, session: dict[str, str], running: TrainingJob, cast: SimpleNamespace
) -> None:
    page = page_open(chromium, site, session, running)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    expect(page.locator("#connection")).to_have_text("Live")
    switch(page, "한국어", "ko")
    assert page.url == f"{site.address}/jobs/{running.pk}/"
    expect(page.locator("#connection")).to_have_text("실시간")
    expect(page.locator("#charts-title")).to_have_text("차트")
    expect(page.locator("#checkpoints")).to_contain_text("아직 없음: 트레이너가")

    def end() -> None:
        TrainingJob.objects.filter(pk=running.pk).update(state=JobState.FAILED, ended_at=timezone.now())
        tell(running, event(type="state", to="failed"))

    elsewhere(end)
    expect(page.locator("#job-state")).to_have_attribute("data-state", "failed")  # a state's own name stays
    expect(page.locator("#checkpoints")).to_contain_text("없음: 트레이너가 업로드하기 전에 끝났으므로")
    page.goto(f"{site.address}/jobs/")
    expect(page.locator("#main-menu")).to_contain_text("작업")
    assert elsewhere(User.objects.get, pk=cast.teammate.pk).language == "ko"
    switch(page, "English", "en")
    expect(page.locator("#main-menu")).to_contain_text("Jobs")
    assert page.url == f"{site.address}/jobs/" and complaints == []


def test_a_stranger_without_scripts_changes_the_language(chromium: Browser, site: Site) -> None:
    page = chromium.new_context(java_script_enabled=False, locale="ko-KR").new_page()
    page.goto(f"{site.address}/sign-up/")
    expect(page.locator("html[lang=ko]")).to_be_attached()
    switch(page, "English", "en")
    assert page.url == f"{site.address}/sign-up/"


@pytest.mark.timeout(400)
def test_every_page_fits_a_phone_in_korean(
    chromium_of_all: Browser, site: Site, addresses: dict[str, str], sessions: dict[str, str]
) -> None:
    """Read without scripts, which takes a third of the time: words are as wide."""
    window_of = window(
        chromium_of_all, site, sessions["kim"], locale="ko-KR", viewport=PHONE, java_script_enabled=False
    )
    page, found = window_of.new_page(), []
    for name, address in addresses.items():
        if not name.startswith(("admin:", "api:")):  # Django's own, and a page that is all script
            page.goto(address)
            found += [f"{address}: {one}" for one in page.evaluate(WIDER)]
            found += [] if page.locator("html[lang=ko]").count() else [f"{address}: not in Korean"]
    if found:
        pytest.fail("\n".join(found), pytrace=False)
