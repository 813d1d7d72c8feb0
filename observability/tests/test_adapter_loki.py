"""Loki's adapter, against a loopback push endpoint."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from observability.adapters.loki import Loki
from observability.base import AdapterError, Ending, LogLine
from observability.tests.adapter_cast import TIME, Config, job_facts, opened, reports, stored
from observability.tests.backends import loki
from observability.tests.backends.processes import free_port

LINES = [
    LogLine(1, TIME, "info", "trainer", "첫 줄"),
    LogLine(1, TIME + 0.000001, "info", "trainer", "a line\nin two"),
    LogLine(2, TIME + 1, "error", "platform", "<script>"),
    LogLine(3, TIME + 2, "info", "trainer", "the last"),
]


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Config]:
    with loki.backend(tmp_path) as variables:
        yield {**variables, "LOKI_LABELS": "site=seoul, team=vision"}


def streams(config: Config) -> dict[tuple[str, str], list[tuple[int, str]]]:
    found = {}
    for labels, lines in loki.servers[config["LOKI_URL"]].streams.items():
        named = json.loads(labels)
        assert (named["job"], named["site"], named["organization"]) == ("job-42", "seoul", "An/Organization")
        found[named["source"], named["level"]] = lines
    return found


def test_lines_arrive_once_by_source_and_level(config: Config) -> None:
    adapter, state = opened(Loki, config), {}
    assert adapter.check() == "3.0.0"
    job = adapter.create_experiment(job_facts(), state)
    adapter.log_parameters(job, {"lr": 0.1}, state)
    adapter.log_metrics(job, reports(2), state)
    before = stored(state)
    adapter.log_lines(job, LINES[:3], state)
    opened(Loki, config).log_lines(job, LINES, before)
    adapter.finalize(job, Ending("completed"), state)
    nanoseconds = int(TIME) * 1_000_000_000
    assert streams(config) == {
        ("trainer", "info"): [
            (nanoseconds, "첫 줄"),
            (nanoseconds + 1000, "a line\nin two"),
            (nanoseconds + 2_000_000_000, "the last"),
        ],
        ("platform", "error"): [(nanoseconds + 1_000_000_000, "<script>")],
    }


@pytest.mark.parametrize(("status", "permanent"), [(400, True), (401, True), (429, False), (500, False)])
def test_refusals_tell_permanent_from_temporary(config: Config, status: int, permanent: bool) -> None:
    loki.servers[config["LOKI_URL"]].refuse = status
    with pytest.raises(AdapterError, match=str(status)) as raised:
        opened(Loki, config).log_lines("job-42", LINES, {})
    assert raised.value.permanent == permanent


@pytest.mark.parametrize("tells_oldest", [True, False])
def test_lines_that_are_too_old_are_left_out_and_counted(config: Config, tells_oldest: bool) -> None:
    server = loki.servers[config["LOKI_URL"]]
    server.oldest, server.tells_oldest = TIME + 40.5, tells_oldest
    adapter, state = opened(Loki, config), {}
    job = adapter.create_experiment(job_facts(), state)
    sources = ("trainer", "platform")
    sent = [LogLine(n, TIME + n, "info", sources[n % 2], f"line {n}") for n in range(100)]
    adapter.log_lines(job, sent, state)
    assert state["refused"] == 41
    found = streams(config)
    for number, source in enumerate(sources):
        young = [line.message for line in sent if line.time >= server.oldest and line.seq % 2 == number]
        assert [message for _, message in found[source, "info"]] == young
    assert server.pushes <= (20 if tells_oldest else 200)
    adapter.log_lines(job, [LogLine(200, TIME + 200, "info", "trainer", "later")], state)
    assert state["refused"] == 41


def test_a_batch_of_old_lines_does_not_stop_what_follows(config: Config) -> None:
    loki.servers[config["LOKI_URL"]].oldest = TIME + 1000
    adapter, state = opened(Loki, config), {"refused": 2}
    adapter.log_lines("job-42", LINES, state)
    assert state["refused"] == 2 + len(LINES)


@pytest.mark.parametrize(("status", "batch"), [(400, True), (413, True), (401, False), (500, False)])
def test_a_batch_that_is_refused_for_what_it_holds_is_told_from_other_refusals(
    config: Config, status: int, batch: bool
) -> None:
    loki.servers[config["LOKI_URL"]].refuse = status
    with pytest.raises(AdapterError) as raised:
        opened(Loki, config).log_lines("job-42", LINES, {})
    assert raised.value.batch == batch


def test_a_wrong_password_is_permanent_and_not_shown(config: Config) -> None:
    with pytest.raises(AdapterError) as raised:
        opened(Loki, {**config, "LOKI_PASSWORD": "another-secret"}).check()
    assert raised.value.permanent and "another-secret" not in str(raised.value)


def test_a_server_that_is_away_is_temporary_and_its_password_not_shown() -> None:
    away = {"LOKI_URL": f"http://name:a-secret@127.0.0.1:{free_port()}"}
    with pytest.raises(AdapterError) as raised:
        opened(Loki, away).log_lines("job-42", LINES, {})
    assert not raised.value.permanent and "a-secret" not in str(raised.value)


def test_labels_that_are_none_are_refused(config: Config) -> None:
    with pytest.raises(AdapterError, match="LOKI_LABELS") as raised:
        opened(Loki, {**config, "LOKI_LABELS": "site"})
    assert raised.value.permanent
