"""A person's way through Chromium: a folder becomes a dataset, a preset a job, and the page of the job appears."""

import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from django.test import Client
from playwright.sync_api import Browser, Route, expect, sync_playwright

from training.models import Dataset, TrainingJob
from training.tests.datasets_folder import folder_write
from training.tests.test_browser_live import ROOT, Site, elsewhere

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LONG = 60_000  # a slow machine may take its time; what is waited for is a condition


@pytest.fixture
def site(transactional_db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    folder_write(tmp_path / "import" / "bottles")
    for name in ("INTERNAL_STORAGE_URL", "EXTERNAL_STORAGE_URL", "IMPORT_ROOTS", "REDIS_URL", "CELERY_BROKER_URL"):
        monkeypatch.delenv(name, raising=False)
    running = Site(tmp_path)
    yield running
    running.stop()


@pytest.fixture
def worker(site: Site) -> Iterator[None]:
    """A maintenance worker on the same database, stores and broker."""
    options = ["--pool", "threads", "--concurrency", "2", "--queues", "maintenance", "--hostname", "tests@%h"]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
    command = [sys.executable, "-m", "celery", "-A", "platform_site", "--quiet", "worker", *options, *quiet]
    process = subprocess.Popen(command, env=site.environment | {"C_FORCE_ROOT": "1"}, cwd=ROOT)
    yield
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture
def session(cast: SimpleNamespace) -> dict[str, str]:
    client = Client()
    client.force_login(cast.owner)
    return {"name": "sessionid", "value": client.cookies["sessionid"].value}


@pytest.fixture
def chromium(site: Site, session: dict[str, str], worker: None) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()


def test_an_archive_goes_up_in_parts_although_the_connection_breaks(
    chromium: Browser, site: Site, session: dict[str, str], tmp_path: Path
) -> None:
    folder = folder_write(tmp_path / "cups")
    (folder / "notes.bin").write_bytes(os.urandom(17_000_000))
    with zipfile.ZipFile(tmp_path / "예쁜 cups.zip", "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(tmp_path))
    window = chromium.new_context()
    window.set_default_timeout(LONG)
    window.add_cookies([{**session, "url": site.address}])  # type: ignore[list-item]
    page, broken = window.new_page(), []

    def breaks_once(route: Route) -> None:
        broken.append(route.request.url)
        route.abort() if len(broken) == 2 else route.continue_()

    page.route("**/parts/*", breaks_once)
    page.goto(f"{site.address}/datasets/import/")
    page.locator("#upload-file").set_input_files(tmp_path / "예쁜 cups.zip")
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("#import")).to_have_attribute("data-state", "completed", timeout=LONG)
    expect(page.locator("h1")).to_have_text("예쁜 cups")
    assert len(broken) == 4  # three parts, and one again
    assert elsewhere(Dataset.objects.get).report["images"] == 4


def test_from_a_folder_to_a_running_job(chromium: Browser, site: Site, session: dict[str, str]) -> None:
    window = chromium.new_context()
    window.set_default_timeout(LONG)
    window.add_cookies([{**session, "url": site.address}])  # type: ignore[list-item]
    page = window.new_page()
    page.goto(f"{site.address}/datasets/")
    page.get_by_role("link", name="Import", exact=True).click()
    page.get_by_role("link", name="bottles").click()
    expect(page.locator("#import-folder")).to_have_value(
        os.fspath(Path(site.environment["DATA_DIR"]) / "import/bottles")
    )
    page.get_by_role("button", name="Import").click()
    expect(page.locator("#import")).to_have_attribute("data-state", "completed", timeout=LONG)
    page.get_by_role("link", name="Train on this").click()
    page.locator("#job-preset").select_option("builtin:quick try")
    expect(page.locator("#job-set-epochs")).to_have_value("10", timeout=LONG)
    page.locator("#job-project").fill("Bottles")
    page.locator("#job-experiment").fill("First")
    page.locator("#job-set-imgsz").fill("64")
    page.locator("#same-yaml").check()
    expect(page.locator("#job-yaml-text")).to_contain_text("imgsz: 64", timeout=LONG)
    document = yaml.safe_load(page.locator("#job-yaml-text").inner_text())
    page.get_by_role("button", name="Start training").click()
    expect(page.locator("h1")).to_have_text("yolo11n.yaml on bottles", timeout=LONG)
    job = elsewhere(TrainingJob.objects.select_related("dataset", "experiment__project").get)
    assert page.url == f"{site.address}/jobs/{job.pk}/" and job.config["imgsz"] == 64 and job.config["epochs"] == 10
    assert document["dataset"] == job.dataset.name and document["project"] == job.experiment.project.name
    assert {name: job.config[name] for name in document["settings"]} == document["settings"]
