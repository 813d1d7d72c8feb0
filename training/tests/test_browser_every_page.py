"""A real Chromium at every page that the URL configuration knows: in light and dark, on a phone, without scripts."""

import gzip
import hashlib
import os
import re
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from training.models import User
from training.tests.showroom import BEST, showroom
from training.tests.test_authorization import address_of, routes
from training.tests.test_browser_live import ROOT, Site, site

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
__all__ = ["site"]  # a fixture
AXE = Path(__file__).parent / "axe"
DESK = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
BAD = """async (only) => {
  for (const one of document.getAnimations()) if (one.effect.getComputedTiming().endTime < 1e6) one.finish();
  const found = await axe.run(document, {
    resultTypes: ["violations"], elementRef: false, ...(only.length ? { runOnly: { type: "rule", values: only } } : {}),
  });
  return found.violations.filter((one) => ["serious", "critical"].includes(one.impact))
    .map((one) => `${one.id}: ${one.nodes.slice(0, 4).map((node) => node.html.slice(0, 160)).join(" | ")}`);
}"""
WIDER = """() => {
  const root = document.documentElement;
  if (root.scrollWidth <= root.clientWidth) return [];
  const out = (one) => one.getBoundingClientRect().right > root.clientWidth + 1;
  return [...document.querySelectorAll("body *")].filter(out).slice(0, 6)
   .map((one) => `${one.tagName}.${one.className} to ${Math.round(one.getBoundingClientRect().right)}`);
}"""
ADMIN = [
    "admin:index", "admin:training_trainingjob_changelist", "admin:training_user_changelist", "admin:training_user_add",
]  # fmt: skip
PICTURES_THERE = (
    """() => [...document.images].every((one) => one.complete || one.getBoundingClientRect().top > innerHeight)"""
)
# What the documentation shows, and under which name.
SHOWN = {
    "home": "home", "job-list": "jobs", "job running": "job-page", "job failed": "failed-job", "job-log": "log",
    "compare": "compare", "job-new": "new-job", "dataset-list": "datasets", "dataset-page": "dataset",
    "import-page": "import", "project-page": "project", "experiment-page": "experiment", "worker-list": "workers",
    "weights-list": "weights", "organization-page": "organization", "audit-page": "audit-log",
    "api:openapi-view": "api", "alerts": "alerts", "job-checkpoints": "checkpoints",
    "experiment-notes": "notes", "account-page": "account", "key-list": "api-keys",
    "go": "go",
}  # fmt: skip
STRANGERS = ["sign-in", "sign-up", "password-reset", "sign-up-finish", "invitation-page", "password-reset-confirm"]


@pytest.fixture
def full(transactional_db: None, tmp_path: Path) -> SimpleNamespace:
    return showroom(tmp_path)


@pytest.fixture
def addresses(full: SimpleNamespace) -> dict[str, str]:
    """Every page, under the name of its route: what answers GET with a whole document. New ones come by themselves."""
    visitor = Client()
    visitor.force_login(full.boss)
    found = {}
    for name, _ in routes():
        if name in STRANGERS or name.startswith("callback-"):
            continue
        address = full.made.letters.get(name) or address_of(SimpleNamespace(name=name), full.made)  # type: ignore[arg-type]
        if name in ("compare", "compare-csv"):
            address += f"?jobs={full.made.job.pk},{full.made.second.pk},{full.jobs['Digits, 128 px'].pk}"
        answer = visitor.get(address)
        if answer.status_code == 200 and not answer.streaming and b"<html" in answer.content[:500]:
            found[name] = address
    found |= {name: reverse(name) for name in ADMIN}
    found |= {f"job {job.state}": reverse("job-page", args=[job.pk]) for job in full.jobs.values()}
    found["jobs by columns"] = reverse("job-list") + "?column=setting:epochs&column=metric:val/box_loss&state=completed"
    found["no jobs of these"] = reverse("job-list") + "?text=nothing+is+called+so"
    found["refused"] = reverse("compare")
    return found


@pytest.fixture
def chromium(site: Site, addresses: dict[str, str], sessions: dict[str, str]) -> Iterator[Browser]:
    """Started last: while it runs, Django refuses to use the database in this thread."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def sessions(full: SimpleNamespace) -> dict[str, str]:
    return {"kim": session_of(full.boss), "newcomer": session_of(full.newcomer)}


def session_of(user: User) -> str:
    client = Client()
    client.force_login(user)
    return client.cookies["sessionid"].value


def window(chromium: Browser, site: Site, session: str = "", **options: Any) -> BrowserContext:
    context = chromium.new_context(base_url=site.address, **options)
    if session:
        context.add_cookies([{"name": "sessionid", "value": session, "url": site.address}])
    return context


def settled(page: Page) -> None:
    """Parts that the page asks for by itself have come, and charts are drawn."""
    for _ in range(100):
        if not page.locator(".htmx-request").count() and page.evaluate(PICTURES_THERE):
            break
        page.wait_for_timeout(50)
    if page.locator("#api-docs").count():
        page.locator("#api-docs .opblock").first.wait_for()
    if page.locator("metric-board, compare-chart").count():
        page.wait_for_timeout(600)


def picture_keep(page: Page, name: str) -> None:
    """As output of the tests; where PICTURES names a folder, also for the documentation, and small."""
    folder = ROOT / "test-output" / "pages"
    folder.mkdir(parents=True, exist_ok=True)
    taken = page.screenshot(path=folder / f"{re.sub(r'[^a-z0-9]+', '-', name)}.png")
    if name in SHOWN and (wanted := os.environ.get("PICTURES")):
        Image.open(BytesIO(taken)).save(Path(wanted) / f"{SHOWN[name]}.webp", quality=82, method=6)


def faults(page: Page, name: str, address: str) -> list[str]:
    """What keeps people from using the page, in light, in dark and on a phone."""
    page.goto(address)
    settled(page)
    picture_keep(page, name)
    found = [f"light: {one}" for one in page.evaluate(BAD, [])]
    page.emulate_media(color_scheme="dark")
    found += [f"dark: {one}" for one in page.evaluate(BAD, ["color-contrast", "link-in-text-block"])]
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    found += [f"wider than a phone: {one}" for one in page.evaluate(WIDER)]
    found += [
        f"phone: {one}" for one in page.evaluate(BAD, ["scrollable-region-focusable", "button-name", "link-name"])
    ]
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(DESK)  # type: ignore[arg-type]
    return [f"{address}: {one}" for one in found]


def visit(context: BrowserContext, addresses: dict[str, str]) -> list[str]:
    context.add_init_script(path=str(AXE / "axe.min.js"))
    page = context.new_page()
    page.set_viewport_size(DESK)  # type: ignore[arg-type]
    return [fault for name, address in addresses.items() for fault in faults(page, name, address)]


def test_axe_is_the_published_one() -> None:
    told = re.search(r"`axe.min.js` \| `(\w{64})`", (AXE / "README.md").read_text())
    assert told and hashlib.sha256((AXE / "axe.min.js").read_bytes()).hexdigest() == told[1]


@pytest.mark.timeout(400)  # all pages in one test: what they show takes longer to make than to look at
def test_nobody_is_kept_out_of_any_page(
    chromium: Browser, site: Site, addresses: dict[str, str], full: SimpleNamespace, sessions: dict[str, str]
) -> None:
    assert len(addresses) > 40
    found = visit(window(chromium, site, sessions["kim"]), addresses)
    strangers = {name: full.made.letters.get(name) or reverse(name) for name in STRANGERS}
    found += visit(window(chromium, site), strangers)
    empty = ["home", "job-list", "dataset-list", "project-list", "weights-list", "import-list", "organization-list"]
    found += visit(window(chromium, site, sessions["newcomer"]), {f"empty {name}": reverse(name) for name in empty})
    if found:
        pytest.fail("\n".join(found), pytrace=False)


NEEDS_SCRIPTS = """() => {
  const shown = (one) => one.checkVisibility();
  const main = document.querySelector("main") || document.body;
  const all = (selector) => [...main.querySelectorAll(selector)].filter(shown);
  const comes = (one) => /\\bload\\b/.test(one.getAttribute("hx-trigger")) && !one.querySelector("a");
  const dead = all("button[type=button]:not([popovertarget]):not(:disabled)");
  return [
    ...all("[hx-get]").filter(comes).map((one) => `empty: #${one.id}`),
    ...dead.map((one) => `dead: ${one.textContent.trim()}`),
    ...(all("h1, h2").length ? [] : ["no heading"]),
  ];
}"""


FILES = "() => [...document.querySelectorAll('script[src], link[rel=stylesheet]')].map((one) => one.src || one.href)"


@pytest.mark.timeout(400)
def test_every_page_can_be_read_without_scripts_and_all_that_they_load_is_small(
    chromium: Browser, site: Site, addresses: dict[str, str], sessions: dict[str, str]
) -> None:
    """No part stays empty for want of a script, and no button is shown that needs one."""
    found: list[str] = []
    files: set[str] = set()
    page = window(chromium, site, sessions["kim"], java_script_enabled=False, viewport=PHONE).new_page()
    for name, address in addresses.items():
        page.goto(address)
        if not name.startswith(("admin:", "api:")):  # Django's own, and a page that is all script
            files |= set(page.evaluate(FILES))
            found += [f"{address}: {one}" for one in page.evaluate(NEEDS_SCRIPTS) + page.evaluate(WIDER)]
    page.goto(addresses["job-page"])
    read = page.inner_text("main")
    wanted = [BEST.partition("/")[2], "epoch 16/16", "train-0007.png", "batch", "NVIDIA H200", "best", "Queued"]
    found += [f"the job page has no {text}" for text in wanted if text not in read]
    page.goto(addresses["compare"])
    found += [f"compare has no {text}" for text in ("imgsz", "val/box_loss") if text not in page.inner_text("main")]
    if found:
        pytest.fail("\n".join(found), pytrace=False)
    sizes = {file: len(gzip.compress(urllib.request.urlopen(file).read(), 9)) for file in files}
    assert len(sizes) > 25 and sum(sizes.values()) < 150_000, sizes
