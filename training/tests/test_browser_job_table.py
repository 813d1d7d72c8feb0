"""A real Chromium at the table of jobs: filter, choose, cancel together, delete and undo; rows that live meanwhile."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from django.db.models.functions import Now
from django.test import Client
from playwright.sync_api import Page, expect, sync_playwright

from training.models import JobState, TrainingJob
from training.tests.conftest import job_make
from training.tests.test_browser_live import Site, elsewhere, site

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
__all__ = ["site"]  # a fixture
SECONDS = 20_000
LONG = "<b>길고</b> " + "W" * 190


@pytest.fixture
def jobs(cast: SimpleNamespace) -> dict[str, TrainingJob]:
    states = {"first": JobState.QUEUED, LONG: JobState.QUEUED, "runs": JobState.RUNNING, "over": JobState.FAILED}
    return {name: job_make(cast, state, name=name) for name, state in states.items()}


@pytest.fixture
def errors() -> list[str]:
    """What the browser's console complained of."""
    return []


@pytest.fixture
def page(site: Site, cast: SimpleNamespace, jobs: dict[str, TrainingJob], errors: list[str]) -> Iterator[Page]:
    """The owner's window, in which nothing is complained of."""
    client = Client()
    client.force_login(cast.owner)
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": site.address}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        window = browser.new_context()
        window.add_cookies([cookie])  # type: ignore[list-item]
        window.set_default_timeout(SECONDS)
        opened = window.new_page()
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        yield opened
        browser.close()
    assert errors == []


def state_of(job: TrainingJob) -> str:
    return str(elsewhere(lambda: TrainingJob.objects.get(pk=job.pk).state))


def test_jobs_are_filtered_chosen_and_cancelled_together(page: Page, site: Site, jobs: dict[str, TrainingJob]) -> None:
    page.goto(f"{site.address}/jobs/")
    page.get_by_text("State", exact=True).first.click()
    page.get_by_role("checkbox", name="Queued").check()
    page.locator("details[open]").get_by_role("button", name="Show these").click()
    expect(page.locator("#job-rows tr")).to_have_count(2, timeout=SECONDS)
    assert page.url.endswith("/jobs/?state=queued")  # and nothing that the form left empty
    page.get_by_role("checkbox", name="Choose all on this page").check()
    expect(page.locator("#bulk-count")).to_have_text("2 chosen")
    page.locator("#bulk-bar").get_by_role("button", name="Cancel").click()
    dialog = page.locator("dialog[open]")
    expect(dialog).to_contain_text("Cancel these 2 jobs?", timeout=SECONDS)
    expect(dialog).to_contain_text("<b>길고</b>")
    dialog.get_by_role("button", name="Cancel 2 jobs").click()
    expect(page.locator(".messages")).to_contain_text("2 jobs were cancelled.", timeout=SECONDS)
    assert [state_of(jobs[name]) for name in ("first", LONG, "runs")] == ["cancelled", "cancelled", "running"]


def test_a_deletion_is_undone(page: Page, site: Site, jobs: dict[str, TrainingJob]) -> None:
    page.goto(f"{site.address}/jobs/")
    page.locator(f"#pick-{jobs['over'].pk}").check()
    page.locator(f"#pick-{jobs['runs'].pk}").check()
    page.locator("#bulk-bar").get_by_role("button", name="Delete").click()
    dialog = page.locator("dialog[open]")
    expect(dialog).to_contain_text("It is running: cancel it first.", timeout=SECONDS)
    dialog.get_by_role("button", name="Delete 1 job").click()
    expect(page.locator(".messages")).to_contain_text("“over” was deleted.", timeout=SECONDS)
    expect(page.locator("#job-rows")).not_to_contain_text("over")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".messages")).to_contain_text("“over” was brought back.", timeout=SECONDS)
    expect(page.locator("#job-rows")).to_contain_text("over")


def test_rows_live_while_what_was_chosen_stays_chosen(page: Page, site: Site, jobs: dict[str, TrainingJob]) -> None:
    page.goto(f"{site.address}/jobs/?state=queued")
    page.locator(f"#pick-{jobs['first'].pk}").check()
    elsewhere(TrainingJob.objects.filter(pk=jobs["first"].pk).update, state=JobState.RUNNING)
    expect(page.locator("#job-rows")).to_contain_text("Running", timeout=SECONDS)  # though the filter says queued
    expect(page.locator(f"#pick-{jobs['first'].pk}")).to_be_checked()
    expect(page.locator("#bulk-count")).to_have_text("1 chosen")


def test_an_open_page_says_that_its_job_has_been_deleted(
    page: Page, site: Site, jobs: dict[str, TrainingJob], errors: list[str]
) -> None:
    page.goto(f"{site.address}/jobs/{jobs['over'].pk}/")
    expect(page.locator("#connection")).to_have_text("Live", timeout=SECONDS)
    elsewhere(TrainingJob.objects.filter(pk=jobs["over"].pk).update, deleted_at=Now())
    expect(page.locator("#job-gone")).to_be_visible(timeout=SECONDS)
    expect(page.locator("#connection")).to_have_text("This job is gone")
    page.goto("about:blank")
    errors[:] = [one for one in errors if "404 (Not Found)" not in one]  # parts that it asked for meanwhile are gone


@pytest.mark.parametrize("address", ["/", "/jobs/", "/jobs/?column=setting:epochs&column=metric:val/loss"])
def test_on_a_phone_nothing_is_wider_than_the_screen(
    page: Page, site: Site, jobs: dict[str, TrainingJob], address: str
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{site.address}{address}")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
