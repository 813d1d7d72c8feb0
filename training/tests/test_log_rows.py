"""The log by line numbers, and what is found in it."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.urls import reverse

from training.jobs import line_search
from training.models import LogLevel, TrainingJob
from training.tests.journal_entries import lines, tell
from training.tests.test_pages import browser

pytestmark = pytest.mark.django_db


@pytest.fixture
def long_log(job: TrainingJob) -> TrainingJob:
    """1,000 lines in ten batches; line 700 is an error, every hundredth says so."""
    for batch in range(10):
        numbers = range(100 * batch, 100 * batch + 100)
        texts = [f"line {number}" + (" a Hundred" if number % 100 == 0 else "") for number in numbers]
        if batch == 7:
            tell(job, lines(texts[0], level=LogLevel.ERROR, source="stderr"), lines(*texts[1:]))
        else:
            tell(job, lines(*texts))
    return job


def rows(cast: SimpleNamespace, job: TrainingJob, **query: Any) -> tuple[int, int, str]:
    answer = browser(cast.owner).get(reverse("job-log-rows", args=[job.pk]), query).json()
    return answer["total"], answer["start"], answer["html"]


def hits(cast: SimpleNamespace, job: TrainingJob, **query: Any) -> dict[str, Any]:
    answer: dict[str, Any] = browser(cast.owner).get(reverse("job-log-hits", args=[job.pk]), query).json()
    return answer


def walked(cast: SimpleNamespace, job: TrainingJob, **query: Any) -> list[dict[str, Any]]:
    """The parts of one search, each begun where the one before ended, until it is done or has found."""
    parts = [hits(cast, job, **query)]
    while not parts[-1]["done"] and not parts[-1].get("at"):
        parts.append(hits(cast, job, **query | {"origin": parts[-1]["reached"]}))
    return parts


@pytest.fixture
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look takes 90 lines, and there is time for one."""
    monkeypatch.setattr(line_search, "CHUNK", 90)
    monkeypatch.setattr(line_search, "SECONDS", 0.0)
    monkeypatch.setattr(line_search, "PAGE_SECONDS", 0.0)


def test_rows_are_given_by_their_numbers(cast: SimpleNamespace, long_log: TrainingJob) -> None:
    total, start, html = rows(cast, long_log, start=350, count=3)
    assert (total, start) == (1000, 350)
    assert [f"line {number}" in html for number in (349, 350, 352, 353)] == [False, True, True, False]


def test_past_the_end_the_last_rows_are_given(cast: SimpleNamespace, long_log: TrainingJob) -> None:
    for query in ({"start": 5000}, {"at": "end"}):
        total, start, html = rows(cast, long_log, count=10, **query)
        assert (total, start) == (1000, 990) and "line 999" in html


def test_rows_are_given_around_a_line_and_around_the_first_error(cast: SimpleNamespace, long_log: TrainingJob) -> None:
    at = hits(cast, long_log, text="line 420")["at"]
    assert rows(cast, long_log, at=at, count=10)[1] == 415
    assert rows(cast, long_log, at="first-error", count=10)[1] == 695
    assert rows(cast, long_log, at="first-error", count=10, source="stderr")[:2] == (1, 0)


def test_a_search_finds_the_next_line_either_way(cast: SimpleNamespace, long_log: TrainingJob) -> None:
    first = hits(cast, long_log, text="hundred")
    assert (first["at"], first["done"]) == ("1.0", False)
    assert hits(cast, long_log, text="hundred", origin="1.0")["at"] == "2.0"
    assert hits(cast, long_log, text="hundred", origin="2.0", back="yes")["at"] == "1.0"
    assert hits(cast, long_log, text="hundred", back="yes")["at"] == "11.0"  # from the end
    nothing = {"at": "", "reached": "11.99", "lines": 999, "done": True}
    assert hits(cast, long_log, text="nowhere", origin="1.0") == nothing
    assert hits(cast, long_log, text="hundred", origin="1.0", source="stderr")["at"] == "8.0"
    assert hits(cast, long_log, text="a", origin="1.0", level="40")["at"] == "8.0"


@pytest.mark.usefixtures("short_parts")
def test_a_part_of_a_search_is_bounded_and_the_parts_are_the_whole(
    cast: SimpleNamespace, long_log: TrainingJob
) -> None:
    found = walked(cast, long_log, text="line 420")
    assert [part["lines"] for part in found] == [90] * 5 and found[-1]["at"] == "5.20"
    found = walked(cast, long_log, text="line 420", back="yes")
    assert len(found) == 7 and found[-1]["at"] == "5.20"
    counted = walked(cast, long_log, text="hundred", count="yes", before="4.0")
    assert [sum(part[name] for part in counted) for name in ("lines", "count", "before")] == [1000, 10, 3]
    assert all(part["lines"] <= 90 for part in counted)
    tell(long_log, lines("another Hundred"))
    more = hits(cast, long_log, text="hundred", count="yes", origin=counted[-1]["reached"])
    assert (more["count"], more["lines"], more["done"]) == (1, 1, True)


@pytest.mark.usefixtures("short_parts")
def test_a_page_without_scripts_searches_on_part_by_part(cast: SimpleNamespace, long_log: TrainingJob) -> None:
    address, query = reverse("job-log", args=[long_log.pk]), {"text": "line 860"}
    page = browser(cast.owner).get(address, query).content.decode()
    assert "No line of this part of the log matches." in page and "before=11.10" in page
    page = browser(cast.owner).get(address, query | {"before": "11.10"}).content.decode()
    assert 'id="line-10.60"' in page
    page = browser(cast.owner).get(address, {"text": "nowhere", "before": "1.9"}).content.decode()
    assert "No line of the log matches." in page
    page = browser(cast.owner).get(address, {"text": "line 100", "after": "1.90"}).content.decode()
    assert 'id="line-2.0"' in page and "after=2.80" in page


def test_a_link_to_a_line_works_without_scripts(cast: SimpleNamespace, long_log: TrainingJob) -> None:
    at = hits(cast, long_log, text="line 420")["at"]
    page = browser(cast.owner).get(reverse("job-log", args=[long_log.pk]), {"at": at}).content.decode()
    assert f'id="line-{at}"' in page and "line 399" not in page and "line 401" in page


def test_a_line_of_5_mb_is_cut_and_linked_whole(cast: SimpleNamespace, job: TrainingJob) -> None:
    text = "<b>" + "x" * 5_000_000
    tell(job, lines(text))
    html = rows(cast, job)[2]
    address = reverse("job-log-line", args=[job.pk, "1.0"])
    assert len(html) < 10_000 and address in html
    whole = browser(cast.owner).get(address)
    assert whole.content.decode() == text and whole["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize(
    "query", ["start=-1", "start=x&count=y", "at=nonsense", "count=0", f"start={'9' * 30}", "level=7"]
)
def test_rows_asked_by_nonsense_are_some_rows(cast: SimpleNamespace, long_log: TrainingJob, query: str) -> None:
    response = browser(cast.owner).get(reverse("job-log-rows", args=[long_log.pk]) + f"?{query}")
    assert response.status_code == 200 and response.json()["total"] == 1000


def test_no_such_line_and_no_text_are_refused(cast: SimpleNamespace, job: TrainingJob) -> None:
    visitor = browser(cast.owner)
    assert visitor.get(reverse("job-log-line", args=[job.pk, "9.9"])).status_code == 404
    assert visitor.get(reverse("job-log-line", args=[job.pk, "x"])).status_code == 404
    assert visitor.get(reverse("job-log-hits", args=[job.pk])).status_code == 400
