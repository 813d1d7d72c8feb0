"""A real Chromium at what runs and addresses should not say, but do: nothing breaks, hides or runs."""

import json
import math
import urllib.request
from collections.abc import Iterator
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.parse import quote

import pytest
from playwright.sync_api import ConsoleMessage, Page, expect

from training.jobs.attempts import token_make
from training.journal.payloads import MAX_MESSAGE, Lines, line_make
from training.models import JobState, TrainingJob
from training.tests.conftest import job_make
from training.tests.journal_entries import lines, metrics, named, tell
from training.tests.test_browser_charts import SECONDS, STORE, job_open, page
from training.tests.test_browser_live import Site, elsewhere, site, until
from training.tests.test_selectors import attempt_make

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
__all__ = ["page", "site"]  # fixtures
HTML = "<img src=x onerror=alert(1)>"
NAMES = [
    "a/b/c/d",
    "quotes\"'`\\",
    HTML,
    "val/<script>alert(1)</script>",
    "손실/훈련",
    "x" * 200,
    " ",
    "{{ x }}",
    "__proto__",
]
# What is drawn of a metric, along the steps: what counts, and what a later attempt replaced.
DRAWN = """(name) => {
  const chart = [...document.querySelectorAll("metric-chart")].find((one) => one.names.includes(name));
  chart?.scrollIntoView();
  if (!chart?.u) return null;
  const of = (kind) => chart.drawn.findIndex((one) => one.name === name && one.kind === kind) + 1;
  const kept = (kind) => (of(kind) ? chart.u.data[0].map((x, i) => [x, chart.u.data[of(kind)][i]]) : [])
    .filter((point) => typeof point[1] === "number");
  return { main: kept("main"), old: kept("old"), marks: chart.marks.map((mark) => [mark.x, mark.mark]) };
}"""
NONSENSE = [
    "jobs/?state=nonsense&sort=-nothing&page=-7&column=metric:&column=setting:%00&text=" + quote(HTML),
    "jobs/?owner__password__startswith=a",
    "jobs/?metric=" + quote(HTML) + "&min=NaN&max=x",
    "jobs/{job}/?after=zz&tab=" + quote(HTML),
    "jobs/{job}/log/?level=banana&source=" + quote(HTML) + "&text=%25_%5C&before=1.x&at=9999999999999.-1",
    "compare/?jobs=a,b,,99999999999999999999&metric=" + quote(HTML),
    "datasets/?text=" + "y" * 3000,
    "audit/?since=yesterday&until=%F0%9F%92%A9",
]


@pytest.fixture
def job(cast: SimpleNamespace) -> TrainingJob:
    job = job_make(cast, JobState.RUNNING)
    attempt_make(job)
    return job


@pytest.fixture
def complaints(page: Page) -> Iterator[list[str]]:
    """What the console was told as an error; at the end there must be none."""
    found: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        address = message.location["url"]
        if message.type == "error" and not address.endswith("/favicon.ico"):  # asked for beside a page of plain text
            found.append(f"{message.text} {address}")

    page.on("console", heard)
    yield found
    assert found == []


def drawn(page: Page, name: str, count: int, old: int = 0) -> dict[str, list[list[float]]]:
    """A series as it is drawn, once it has so many points, and so many of a replaced attempt."""
    script = f"() => ({DRAWN})({json.dumps(name)})"
    found: dict[str, list[list[float]]] = until(
        page, script, lambda seen: seen and len(seen["main"]) >= count and len(seen["old"]) >= old
    )
    return found


@pytest.mark.usefixtures("complaints")
def test_odd_names_are_text_wherever_they_are_shown(
    page: Page, site: Site, cast: SimpleNamespace, job: TrainingJob
) -> None:
    for step in (1, 2):
        elsewhere(tell, job, *(named(name, float(step), step) for name in NAMES))
    job_open(page, site, job)
    for name in NAMES:
        assert drawn(page, name, 2)["main"] == [[1, 1], [2, 2]], name
    titles = page.locator("metric-chart h3").evaluate_all("all => all.map((one) => one.title)")
    assert HTML in titles and "x" * 200 in titles and "훈련" in titles
    assert page.locator("main img[src='x'], main script:not([src])").count() == 0
    other = elsewhere(job_make, cast, JobState.RUNNING, name=HTML)
    for place in (f"jobs/?column={quote('metric:' + HTML)}", f"compare/?jobs={job.pk},{other.pk}&metric={quote(HTML)}"):
        page.goto(f"{site.address}/{place}")
        assert page.locator("main img[src='x']").count() == 0 and page.locator("h1").count() == 1


@pytest.mark.usefixtures("complaints")
def test_one_point_only_nan_and_steps_that_go_back_are_drawn_as_stored(
    page: Page, site: Site, job: TrainingJob
) -> None:
    elsewhere(tell, job, named("single", 3.5, 4))
    elsewhere(
        tell, job, *(named("never", value, step) for step, value in ((1, math.nan), (2, math.inf), (3, math.nan)))
    )
    elsewhere(tell, job, *(named("back", float(n), step) for n, step in enumerate((5, 3, 4, 3, 9))))
    job_open(page, site, job)
    assert drawn(page, "single", 1)["main"] == [[4, 3.5]]
    never = drawn(page, "never", 0)
    assert never["main"] == [] and never["marks"] == [[1, "NaN"], [2, "Infinity"], [3, "NaN"]]
    assert drawn(page, "back", 4)["main"] == [
        [3, 3],
        [4, 2],
        [5, 0],
        [9, 4],
    ]  # of equal steps the one that was said last
    expect(page.locator("metric-chart .legend", has_text="never")).to_contain_text("NaN")
    expect(page.locator("metric-chart .none")).to_have_count(0)


@pytest.mark.usefixtures("complaints")
def test_of_overlapping_attempts_each_point_is_drawn_and_the_later_counts(
    page: Page, site: Site, job: TrainingJob
) -> None:
    elsewhere(tell, job, *(metrics(step=step, train__loss=1.0) for step in range(1, 9)))
    job_open(page, site, job)
    assert len(drawn(page, "train/loss", 8)["main"]) == 8
    elsewhere(attempt_make, job, 2, resumed_step=5)
    elsewhere(tell, job, *(metrics(step=step, train__loss=2.0) for step in range(6, 11)))
    found = drawn(page, "train/loss", 10, old=3)
    assert found["main"] == [[step, 1.0] for step in range(1, 6)] + [[step, 2.0] for step in range(6, 11)]
    assert found["old"] == [[6, 1.0], [7, 1.0], [8, 1.0]]


def test_addresses_that_make_no_sense_are_pages_all_the_same(page: Page, site: Site, job: TrainingJob) -> None:
    elsewhere(tell, job, lines("a line"))
    for place in NONSENSE:
        answer = page.goto(f"{site.address}/{place.format(job=job.pk)}")
        assert answer is not None and answer.status in (200, 400, 404), place
        assert page.locator("h1, h2").count() and page.locator("img[src='x']").count() == 0, place


def say(site: Site, job: TrainingJob, message: str) -> int:
    """What the trainers' door answers to a line of the log."""
    body = json.dumps({"lines": [{"level": "info", "message": message}]}).encode()
    headers = {"Authorization": f"Bearer {token_make(job.pk, 1)}", "Content-Type": "application/json"}
    address = f"{site.address}/api/v1/training/jobs/{job.pk}/callback/log"
    try:
        with urllib.request.urlopen(urllib.request.Request(address, body, headers), timeout=30) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


@pytest.mark.usefixtures("complaints")
def test_a_line_of_5_mb_is_cut_and_says_so_and_the_page_goes_on(page: Page, site: Site, job: TrainingJob) -> None:
    elsewhere(tell, job, metrics(step=1, train__loss=1.0))
    job_open(page, site, job)
    expect(page.locator("#connection")).to_have_text("Live", timeout=SECONDS)
    assert elsewhere(say, site, job, "x" * 5_000_000) == 413
    assert elsewhere(say, site, job, HTML + "x" * 900_000) == 200
    line = page.locator("#log-lines li").last
    expect(line).to_contain_text(HTML, timeout=SECONDS)
    elsewhere(tell, job, Lines(None, [line_make(HTML + "y" * 5_000_000)]))  # as what a trainer prints
    expect(page.locator("#log-lines li").last).to_contain_text("yyy", timeout=SECONDS)
    assert len(line.inner_text()) < 5000 and line.locator("img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    elsewhere(tell, job, metrics(step=2, train__loss=0.5), lines("the next line"))
    expect(page.locator("#log-lines li").last).to_contain_text("the next line", timeout=SECONDS)
    assert drawn(page, "train/loss", 2)["main"] == [[1, 1.0], [2, 0.5]]
    assert page.evaluate(f"() => ({STORE}).seq") == 5
    page.get_by_role("link", name="the whole line").last.click()
    whole = page.locator("body").inner_text()
    assert len(whole) == MAX_MESSAGE and whole.startswith(HTML) and whole.endswith("… [cut]")
