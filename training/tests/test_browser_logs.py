"""A real Chromium at a log of a million lines: any of it at once, searched, linked, and followed live."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from playwright.sync_api import Page, Response, expect

from training.models import JobState, TrainingJob
from training.tests.conftest import job_make
from training.tests.journal_entries import lines, tell
from training.tests.test_browser_charts import page
from training.tests.test_browser_live import Site, elsewhere, site, until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
__all__ = ["page", "site"]  # fixtures
SECONDS = 60_000
LINES = 1_000_000
WRITE = """
INSERT INTO training_traininglog (job_id, seq, n, level, source, time, message, metadata)
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < %s)
SELECT %s, %s, n, 20, 'trainer', 0.0, 'line ' || n || CASE WHEN n %% 250000 = 777 THEN ' needle' ELSE '' END, ''
FROM numbers"""
IN_VIEW = """() => {
  const view = document.getElementById('log-view').getBoundingClientRect();
  return [...document.querySelectorAll('#log-lines li')].filter((one) => {
    const place = one.getBoundingClientRect();
    return place.bottom > view.top && place.top < view.bottom;
  }).map((one) => one.querySelector('.message').textContent);
}"""


@pytest.fixture
def job(cast: SimpleNamespace, count: int) -> TrainingJob:
    """A running job; all its lines are one record's, as its journal says."""
    job = job_make(cast, JobState.RUNNING)
    seq = tell(job, lines("line 0"))
    with connection.cursor() as cursor:
        cursor.execute(WRITE, [count - 1, job.pk, seq])
    return job


@pytest.mark.parametrize("count", [LINES])
def test_a_million_lines_are_searched_and_any_is_linked(page: Page, site: Site, job: TrainingJob) -> None:
    page.goto(f"{site.address}/jobs/{job.pk}/#log")
    expect(page.locator("#log-lines li").last).to_contain_text(f"line {LINES - 1}", timeout=SECONDS)
    answers: list[dict[str, Any]] = []

    def heard(response: Response) -> None:
        if "/log/hits/" in response.url:
            answers.append(response.json())

    page.on("response", heard)
    page.get_by_label("Search the log").fill("NEEDLE")
    expect(page.locator("#log-hits output")).to_have_text("1 of 4", timeout=SECONDS)
    assert answers[0]["lines"] < LINES and sum(one["lines"] for one in answers if "count" in one) == LINES
    page.get_by_label("Next hit").click()
    expect(page.locator("#log-hits output")).to_have_text("2 of 4", timeout=SECONDS)
    until(page, IN_VIEW, lambda seen: "line 250777 needle" in seen)
    page.get_by_label("Previous hit").click()
    until(page, IN_VIEW, lambda seen: "line 777 needle" in seen)
    page.get_by_label("Previous hit").click()
    expect(page.locator("#log-hits output")).to_have_text("4 of 4", timeout=SECONDS)
    elsewhere(tell, job, lines("a needle that came later"))
    page.get_by_label("Next hit").click()
    expect(page.locator("#log-hits output")).to_have_text("5 of 5", timeout=SECONDS)
    page.get_by_label("Next hit").click()
    expect(page.locator("#log-hits output")).to_have_text("1 of 5", timeout=SECONDS)
    until(page, IN_VIEW, lambda seen: "line 777 needle" in seen)
    assert page.locator("#log-lines li").count() <= 1000
    page.locator("#log-lines li.at .line-link").click()
    assert "#line-" in page.url
    page.reload()
    until(page, IN_VIEW, lambda seen: "line 777 needle" in seen)


@pytest.mark.parametrize("count", [20_000])
def test_the_scroll_bar_reaches_every_part(page: Page, site: Site, job: TrainingJob, count: int) -> None:
    page.goto(f"{site.address}/jobs/{job.pk}/#log")
    expect(page.locator("#log-lines li").last).to_contain_text(f"line {count - 1}", timeout=SECONDS)
    expect(page.locator("#log-lines li")).to_have_count(300, timeout=SECONDS)  # the viewer's own, not the page's
    page.evaluate("() => { const view = document.getElementById('log-view'); view.scrollTop = view.scrollHeight / 2; }")
    seen = until(page, IN_VIEW, lambda seen: bool(seen) and abs(int(seen[0].split()[1]) - count / 2) < 2000)
    expect(page.locator("#log-follow")).to_be_visible()
    elsewhere(tell, job, lines("a new line"))
    page.get_by_role("button", name="Follow").click()
    until(page, IN_VIEW, lambda now: "a new line" in now and now != seen)
    elsewhere(tell, job, lines("another line"))
    until(page, IN_VIEW, lambda now: "another line" in now)
    page.evaluate("() => { document.getElementById('log-view').scrollTop = 0; }")
    until(page, IN_VIEW, lambda now: bool(now) and now[0] == "line 0")
