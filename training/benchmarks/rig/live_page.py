"""From a trainer's call to the pixel: real SDKs report, sockets listen, and a real Chromium draws what it is sent."""

import gzip
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any

from django.conf import settings

from platform_site.processes import environment, python
from training.benchmarks.rig import BenchmarkError
from training.benchmarks.rig.site import Site

CHROMIUM = "/usr/bin/chromium"
WARM_SECONDS = 5.0
STATIC = re.compile(r"""{% static ['"]([^'"]+\.(?:js|css))['"] %}""")
# Trainers are programs of their own, which the platform never imports: this one is a text. It reports on a beat of
# its own for each job, so that they do not all speak at once.
TRAINERS = """
import json, sys, time
from trainers.sdk import TrainerSDK
plan = json.load(sys.stdin)
trainers = [TrainerSDK(variables) for variables in plan["trainers"]]
for trainer in trainers:
    trainer.report_started(1000)
print("ready", flush=True)
beat, end, step = 1 / plan["rate"], time.monotonic() + plan["seconds"], 0
due = [time.monotonic() + beat * index / len(trainers) for index in range(len(trainers))]
while (index := due.index(min(due))) is not None and due[index] < end:
    time.sleep(max(0.0, due[index] - time.monotonic()))
    step += 1
    values = {"loss": 1 / (1 + step % 97)} | {f"more/{n}": n + step % 97 for n in range(1, plan["series"])}
    trainers[index].report_progress(values, epoch=1, step=step // len(trainers))
    due[index] += beat
for trainer in trainers:
    trainer.close(30)
"""
# Notes, for each point, when the page got it and when the frame that shows it has been handed to the screen.
WATCH = """() => {
  const chart = customElements.get('metric-chart').prototype;
  const draw = chart.draw;
  const now = () => performance.timeOrigin + performance.now();
  globalThis.seen = { got: [], drawn: [] };
  let got = Date.now() / 1000, drawn = got;
  addEventListener('journal', ({ detail }) => {
    const at = now();
    for (const block of detail.blocks ?? []) if (block.names.includes('loss'))
      for (const time of block.time) if (time > got) { seen.got.push(at - 1000 * time); got = time; }
  });
  chart.draw = function () {
    draw.call(this);
    if (!this.names.includes('loss')) return;
    const newest = [...this.board.store.series.get('loss').values()].flatMap((one) => one.time.slice(-400));
    const times = newest.filter((one) => one > drawn);
    if (!times.length) return;
    drawn = Math.max(...times);
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => seen.drawn.push(...times.map((time) => now() - 1000 * time));
      channel.port2.postMessage(0);
    });
  };
}"""


@contextmanager
def page_opened(ours: Site, job: str) -> Iterator[Any]:
    """A job's page in a new Chromium, as its person sees it. Raises BenchmarkError without Playwright or Chromium."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError as error:
        raise BenchmarkError("Playwright is missing: see deploy/requirements-test.txt") from error
    with sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        except Error as error:
            raise BenchmarkError(f"Chromium could not be started from {CHROMIUM}: {error}") from error
        context = chromium.new_context(viewport={"width": 1280, "height": 900})
        name, _, value = ours.cookie.partition("=")
        context.add_cookies([{"name": name, "value": value, "url": ours.url}])
        page = context.new_page()
        page.goto(f"{ours.url}/jobs/{job}/")
        page.wait_for_selector("#connection[data-state=live]", timeout=60_000)
        yield page
        chromium.close()


@contextmanager
def reporting(trainers: Sequence[Mapping[str, str]], rate: float, seconds: float, series: int = 1) -> Iterator[None]:
    """`trainers` report `series` metrics `rate` times a second each, for `seconds` or until this ends."""
    plan = {"trainers": [dict(one) for one in trainers], "rate": rate, "seconds": seconds, "series": series}
    with started(python("-c", TRAINERS), environment(), json.dumps(plan)) as running:
        assert running.stdout is not None
        if running.stdout.readline().strip() != "ready":
            raise BenchmarkError("the trainers did not start")
        yield


@contextmanager
def sockets_open(ours: Site, count: int) -> Iterator[None]:
    """`count` more pages, of which only the sockets are there."""
    variables = environment(URL=ours.url, PAGES=str(count), COOKIE=ours.cookie)
    with started(python("-m", "training.benchmarks.rig.open_pages"), variables):
        yield


@contextmanager
def started(command: list[str], variables: Mapping[str, str], text: str = "") -> Iterator[Popen[str]]:
    running = Popen(command, env=dict(variables), cwd=settings.BASE_DIR, stdin=-1, stdout=-1, text=True)
    assert running.stdin is not None
    try:
        running.stdin.write(text)
        running.stdin.close()
        yield running
    finally:
        running.kill()
        running.wait()


def pixels_time(
    ours: Site, trainers: Sequence[Mapping[str, str]], job: str, rate: float, seconds: float, pages: int
) -> dict[str, list[float]]:
    """Milliseconds from each call to the page that got it (`got`) and to the frame that shows it (`drawn`)."""
    told = reporting(trainers, rate, seconds + WARM_SECONDS)
    with sockets_open(ours, pages - 1), page_opened(ours, job) as page, told:
        page.wait_for_timeout(1000 * WARM_SECONDS)
        page.evaluate(WATCH)
        page.wait_for_timeout(1000 * (seconds - 1))
        found: dict[str, list[float]] = page.evaluate("seen")
    if len(found["drawn"]) < rate * seconds / 4:
        raise BenchmarkError(f"only {len(found['drawn'])} points were drawn")
    return found


def memory_grown(
    ours: Site, trainer: Mapping[str, str], job: str, rate: float, minutes: float, series: int = 1, points: int = 0
) -> list[tuple[int, float, int]]:
    """(points of each series that the page has been sent, MB of its scripts' memory after a collection, its nodes).

    Looked at again and again for so many minutes, or until each series has so many points.
    """
    samples: list[tuple[int, float, int]] = []
    with page_opened(ours, job) as page, reporting([trainer], rate, 60 * minutes + 30, series):
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end and not (points and samples and samples[-1][0] >= points):
            page.wait_for_timeout(min(10_000, 60_000 * minutes / 6))
            session.send("HeapProfiler.collectGarbage")
            seen = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
            sent = page.evaluate("[...SeriesStore.stores.values()][0].seq")
            samples.append((sent, seen["JSHeapUsedSize"] / 1e6, int(seen["Nodes"])))
    if samples[-1][0] < points:
        raise BenchmarkError(f"the page was sent only {samples[-1][0]:,} of {points:,} points in {minutes:g} min")
    return samples


def static_weight(folder: Path) -> dict[str, float]:
    """Compressed kB of the scripts and styles that our templates name, by kind; but for the API's reader (Swagger)."""
    named = {
        name
        for template in Path(settings.BASE_DIR, "templates").rglob("*.html")
        for name in STATIC.findall(template.read_text())
        if not name.startswith("ninja/")
    }
    weights: dict[str, float] = {}
    for name in sorted(named):
        kind = name.rpartition(".")[2]
        weights[kind] = weights.get(kind, 0.0) + len(gzip.compress((folder / name).read_bytes(), 9)) / 1000
    return weights
