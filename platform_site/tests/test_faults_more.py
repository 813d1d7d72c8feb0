"""Answers dropped, networks cut, servers restarted, everything stopped: reported = stored, and every job ends."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from platform_site.tests.faults import Proxy, Redis
from platform_site.tests.own_server import OwnServer
from platform_site.tests.test_faults import CREATE, REPORTS, TRAINER, Parts

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(240)]
ALL = list(range(1, REPORTS + 1))
PAUSE = "        time.sleep(0.01)\n"
CHATTY = TRAINER.replace(PAUSE, "        print('line\\n' * 99 + f'line {number}')\n" + PAUSE)
LINES = """
import django; django.setup()
from training.models import *
lines = TrainingLog.objects.filter(message__startswith="line")
print(lines.count(), TrainingLog.objects.filter(message__contains="lines were cut").count())
"""
TERMINATE = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()
"""
Make = Callable[..., Parts]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Parts] = []

    def one(**variables: Any) -> Parts:
        made.append(Parts(tmp_path, **variables))
        return made[-1]

    yield one
    for parts in made:
        parts.end()


@pytest.fixture
def server() -> Iterator[OwnServer]:
    one = OwnServer()
    yield one
    one.end()


def through(parts: Parts) -> Proxy:
    """A proxy in front of the platform, that the training worker gives its trainers as the platform's address."""
    proxy = Proxy(parts.port)
    parts.kill("training")
    plain = parts.environment["SITE_URL"]
    parts.environment["SITE_URL"] = f"http://127.0.0.1:{proxy.port}"
    parts.begin("training")
    parts.environment["SITE_URL"] = plain
    return proxy


def progress(parts: Parts, least: int) -> None:
    """Wait until so many reports are stored."""
    deadline = time.monotonic() + 60
    while len(parts.read()["found"].get("1", [])) < least:
        assert time.monotonic() < deadline, parts.log.read_text()[-4000:]
        time.sleep(0.2)


def test_answers_dropped_after_the_commit_double_nothing(make: Make) -> None:
    parts = make()
    proxy = through(parts)
    proxy.drops = 8
    parts.run("-c", CREATE)
    told = parts.wait_for("completed", 90)
    proxy.close()
    assert proxy.dropped == 8 and told["found"] == {"1": ALL}


def test_a_trainer_that_is_cut_off_trains_on_and_everything_arrives(make: Make) -> None:
    """Cut for longer than the lease of its trainer's word; its worker renews the lease meanwhile."""
    parts = make()
    proxy = through(parts)
    parts.run("-c", CREATE)
    progress(parts, 20)
    proxy.refuses = True
    deadline = time.monotonic() + 60
    while proxy.refused < 3:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(4)
    assert parts.read()["state"] in ("running", "lost")
    proxy.refuses = False
    told = parts.wait_for("completed", 90)
    proxy.close()
    assert told["attempt"] == 1 and told["found"] == {"1": ALL}


def test_redis_restarted_and_emptied_costs_no_job(make: Make, tmp_path: Path) -> None:
    redis = Redis(tmp_path)
    try:
        parts = make(REDIS_URL=redis.url)
        redis.kill()
        parts.run("-c", CREATE)  # its wake-up goes nowhere
        redis.begin()
        assert parts.wait_for("completed", 90)["found"] == {"1": ALL}
    finally:
        redis.end()


@pytest.mark.skipif(
    not os.environ.get("DATABASE_URL", "").startswith("postgres"), reason="there are no connections to end in SQLite"
)
def test_connections_ended_by_the_database_lose_nothing(make: Make) -> None:
    parts = make()
    parts.run("-c", CREATE)
    progress(parts, 20)
    ended = 0
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        for _ in range(4):
            row = server.execute(TERMINATE, [parts.environment["DATABASE_URL"].rpartition("/")[2]]).fetchone()
            ended += row[0] if row else 0
            time.sleep(0.7)
    told = parts.wait_for("completed", 90)
    assert ended > 0 and told["attempt"] == 1 and told["found"] == {"1": ALL}


@pytest.mark.skipif(
    not os.environ.get("DATABASE_URL", "").startswith("postgres"), reason="SQLite has no server that could crash"
)
def test_a_database_server_that_crashes_and_comes_back_loses_nothing(server: OwnServer, make: Make) -> None:
    parts = make(DATABASE_URL=server.url)
    parts.run("-c", CREATE)
    progress(parts, 20)
    for _ in range(2):
        server.crash()
        time.sleep(1)
        server.begin()
        time.sleep(1)
    told = parts.wait_for("completed", 90)
    assert told["attempt"] == 1 and told["found"] == {"1": ALL}


def test_sigterm_to_everything_hands_the_job_back_and_it_completes(make: Make) -> None:
    parts = make()
    parts.run("-c", CREATE)
    progress(parts, 20)
    parts.stop_all()
    told = parts.read()
    assert told["state"] in ("queued", "completed"), told  # handed back or finished; never left to be found lost
    for name in parts.commands():
        parts.begin(name)
    told = parts.wait_for("completed", 90)
    newest = told["found"][str(told["attempt"])]
    assert newest == ALL and all(seen == ALL[: len(seen)] for seen in told["found"].values())


def test_ten_thousand_lines_a_second_cut_no_metric(make: Make) -> None:
    parts = make(trainer=CHATTY)
    parts.run("-c", CREATE)
    told = parts.wait_for("completed", 120)
    lines, marks = map(int, parts.run("-c", LINES).split())
    assert told["found"] == {"1": ALL}
    assert lines == 100 * REPORTS or marks  # what was cut is marked as cut
