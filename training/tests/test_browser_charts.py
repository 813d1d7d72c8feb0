"""A real Chromium at the charts: thousands of series, odd names and values, a layout that is kept."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from django.test import Client
from playwright.sync_api import Page, Response, expect, sync_playwright

from training.models import ChartLayout, JobState, MetricSummary, TrainingJob
from training.tests.conftest import job_make
from training.tests.journal_entries import metrics, named, tell
from training.tests.test_browser_live import Site, elsewhere, site, until
from training.tests.test_selectors import attempt_make

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
__all__ = ["site"]  # a fixture
SECONDS = 30_000
STORE = "[...SeriesStore.stores.values()][0]"
# How many points are held of ten series, which are wanted in case that all was fetched anew.
HELD = """() => {
  const store = [...SeriesStore.stores.values()][0];
  const names = Array.from({ length: 10 }, (_, n) => `group${n}/series 400${n}`);
  store.want(names);
  return names.map((name) => [...store.series.get(name).values()].reduce((sum, data) => sum + data.value.length, 0));
}"""
ODD = ["a/b/c/d", "quotes\"'`", "<img src=x onerror=alert(1)>", "손실/훈련", "x" * 200]


@pytest.fixture
def job(cast: SimpleNamespace) -> TrainingJob:
    return job_make(cast, JobState.RUNNING)


@pytest.fixture
def page(site: Site, cast: SimpleNamespace, job: TrainingJob) -> Iterator[Page]:
    """The owner's window, in which nothing is complained of."""
    client = Client()
    client.force_login(cast.owner)
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": site.address}
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        window = browser.new_context()
        window.add_cookies([cookie])  # type: ignore[list-item]
        window.set_default_timeout(SECONDS)
        opened = window.new_page()
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.on("dialog", lambda dialog: errors.append("text of a run was executed"))
        yield opened
        browser.close()
    assert errors == []


def job_open(page: Page, site: Site, job: TrainingJob) -> None:
    page.goto(f"{site.address}/jobs/{job.pk}/")
    expect(page.locator("metric-chart canvas").first).to_be_visible(timeout=SECONDS)


def five_thousand(job: TrainingJob, *steps: int) -> None:
    values = {f"group{number % 50}__series {number}": float(number) for number in range(5000)}
    for step in steps:
        for start in range(0, 5000, 500):
            tell(job, metrics(step=step, **dict(list(values.items())[start : start + 500])))


@pytest.mark.timeout(240)
def test_five_thousand_series_build_and_fetch_only_what_is_looked_at(page: Page, site: Site, job: TrainingJob) -> None:
    elsewhere(attempt_make, job)
    elsewhere(five_thousand, job, 1, 2)
    sizes: list[int] = []

    def heard(response: Response) -> None:
        if "/metrics.json" in response.url:
            sizes.append(int(response.headers.get("content-length", 0)))

    page.on("response", heard)
    job_open(page, site, job)
    until(page, f"() => ({STORE}).series.size", lambda size: size == 5000)
    assert page.locator("metric-chart").count() <= 30 * 24 and page.locator("metric-chart canvas").count() < 60
    until(page, f"() => ({STORE}).asked.size", lambda left: left == 0)
    held = page.evaluate(f"() => 5000 - ({STORE}).lazy.size")
    assert 0 < held < 500 and len(sizes) < 15 and sum(sizes) < 1_000_000
    page.get_by_label("Find a metric").fill("series 4321")
    expect(page.locator("metric-chart")).to_have_count(1, timeout=SECONDS)
    expect(page.locator("metric-chart .legend")).to_contain_text("series 4321")
    expect(page.locator("metric-chart .legend b")).to_have_text("4321", timeout=SECONDS)
    elsewhere(five_thousand, job, 3)
    steps = f"() => ({STORE}).line('group21/series 4321', 'step').x"
    assert until(page, steps, lambda x: 3 in x) == [1, 2, 3]
    page.get_by_label("Find a metric").fill("series 4322")
    assert until(page, steps.replace("4321", "4322").replace("group21", "group22"), len) == [1, 2, 3]


@pytest.mark.timeout(240)
def test_series_that_are_fetched_during_live_points_have_each_once(page: Page, site: Site, job: TrainingJob) -> None:
    """What is heard while they are on their way is neither lost nor doubled, whichever came first."""
    elsewhere(attempt_make, job)
    elsewhere(five_thousand, job, 1)
    job_open(page, site, job)
    expect(page.locator("#connection")).to_have_text("Live")
    for step in range(2, 12):
        elsewhere(five_thousand, job, step)
        page.evaluate(f"() => ({STORE}).want(['group{step % 10}/series 400{step % 10}'])")
    until(page, HELD, lambda lengths: lengths == [11] * 10)
    page.wait_for_timeout(1000)
    assert page.evaluate(HELD) == [11] * 10


def test_odd_names_and_values_are_drawn(page: Page, site: Site, job: TrainingJob) -> None:
    elsewhere(tell, job, *(named(name, 1.0) for name in ODD))
    elsewhere(tell, job, named("never", float("nan"), 1), named("never", float("nan"), 2), named("back", 1.0, 5))
    elsewhere(tell, job, named("back", 2.0, 3))
    job_open(page, site, job)
    expect(page.locator("metric-chart")).to_have_count(len(ODD) + 2, timeout=SECONDS)
    x = until(page, "() => [...SeriesStore.stores.values()][0].line('back', 'step').x", lambda x: len(x) == 2)
    assert x == [3, 5]
    page.get_by_label("Axis").select_option("wall")
    page.get_by_label("Log scale").check()
    expect(page.locator("metric-chart .legend", has_text="never")).to_contain_text("NaN", timeout=SECONDS)


def test_a_series_is_shown_alone_and_brought_back(page: Page, site: Site, job: TrainingJob) -> None:
    elsewhere(tell, job, *(metrics(step=step, train__loss=1.0, val__loss=2.0) for step in (1, 2, 3)))
    job_open(page, site, job)
    train, val = (page.locator("metric-chart .legend button", has_text=name) for name in ("train", "val"))
    train.click(modifiers=["Alt"])
    expect(val).to_have_attribute("aria-pressed", "false")
    expect(train).to_have_attribute("aria-pressed", "true")
    train.click(modifiers=["Alt"])
    expect(val).to_have_attribute("aria-pressed", "true")


def test_a_layout_is_there_again_after_a_reload(page: Page, site: Site, job: TrainingJob) -> None:
    elsewhere(tell, job, *(metrics(step=step, own__one=1.0, own__two=2.0, other__one=3.0) for step in (1, 2)))
    job_open(page, site, job)
    page.get_by_label("Axis").select_option("epoch")
    page.get_by_label("two: download").click()
    page.locator("details[open] .menu").get_by_role("button", name="Hide this chart").click()
    expect(page.locator("metric-chart")).to_have_count(2)
    page.locator(".chart-group summary", has_text="other").first.click()

    def kept() -> dict[str, object]:
        return dict(ChartLayout.objects.values_list("layout", flat=True).first() or {})

    for _ in range(150):
        if elsewhere(kept).get("folded") == ["other"]:
            break
        page.wait_for_timeout(100)
    assert elsewhere(kept) | {"smooth": 0} == {
        "axis": "epoch", "smooth": 0, "log": False, "order": [], "hidden": ["own/two"], "folded": ["other"],
    }  # fmt: skip
    page.reload()
    expect(page.locator("metric-chart")).to_have_count(1, timeout=SECONDS)
    page.get_by_role("button", name="Show 1 hidden chart").click()
    expect(page.locator("metric-chart")).to_have_count(2, timeout=SECONDS)


def test_jobs_are_compared(page: Page, site: Site, cast: SimpleNamespace, job: TrainingJob) -> None:
    def others() -> list[TrainingJob]:
        jobs = [job, *(job_make(cast, JobState.RUNNING, name=f"run {n}", config={"lr0": n}) for n in range(9))]
        for number, one in enumerate(jobs):
            tell(one, *(metrics(step=step, loss=number + 1 / step) for step in (1, 2, 3)))
            MetricSummary.objects.create(job=one, name="loss", best=float(number), latest=float(number))
        return jobs

    jobs = elsewhere(others)
    page.goto(f"{site.address}/compare/?jobs={','.join(str(one.pk) for one in jobs)}")
    expect(page.locator("compare-chart .legend button")).to_have_count(10, timeout=SECONDS)
    expect(page.locator("compare-chart .legend")).to_contain_text("run 8")
    expect(page.locator("#scatter circle")).to_have_count(9)
    expect(page.locator("#parallel .line")).to_have_count(9)  # the first has no setting, so one place only
    page.get_by_label("Hide equal").check()
    page.wait_for_url("**hide=yes**")


def test_the_first_nan_is_told_with_its_place(page: Page, site: Site, job: TrainingJob) -> None:
    elsewhere(tell, job, named("loss", 1.0, 1), named("other", 1.0, 1), named("loss", float("nan"), 7))
    job_open(page, site, job)
    expect(page.locator("#nan-watch")).to_contain_text("loss became NaN at step 7.", timeout=SECONDS)
    page.get_by_role("link", name="Show its chart").click()
    expect(page.locator("metric-chart")).to_have_count(1, timeout=SECONDS)


def test_keys_lead_to_pages_and_to_the_search(page: Page, site: Site, job: TrainingJob) -> None:
    page.goto(f"{site.address}/projects/")
    page.keyboard.press("?")
    expect(page.locator("dialog#keys")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("j")
    page.wait_for_url("**/jobs/")
    page.keyboard.press("/")
    expect(page.locator("main input[type=search]").first).to_be_focused()
