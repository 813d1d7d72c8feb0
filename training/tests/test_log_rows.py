"""The log by line numbers, and what is found in it."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.urls import reverse

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


def hits(cast: SimpleNamespace, job: TrainingJob, **query: Any) -> tuple[int, int, str]:
    answer = browser(cast.owner).get(reverse("job-log-hits", args=[job.pk]), query).json()
    return answer["count"], answer["index"], answer["at"]


def test_rows_are_given_by_their_numbers(cast: SimpleNamespace, long_log: TrainingJob) -> None:
    total, start, html = rows(cast, long_log, start=350, count=3)
    assert (total, start) == (1000, 350)
    assert [f"line {number}" in html for number in (349, 350, 352, 353)] == [False, True, True, False]


def test_past_the_end_the_last_rows_are_given(cast: SimpleNamespace, long_log: TrainingJob) -> None:
    for query in ({"start": 5000}, {"at": "end"}):
        total, start, html = rows(cast, long_log, count=10, **query)
        assert (total, start) == (1000, 990) and "line 999" in html


def test_rows_are_given_around_a_line_and_around_the_first_error(cast: SimpleNamespace, long_log: TrainingJob) -> None:
    _, _, at = hits(cast, long_log, text="line 420")
    assert rows(cast, long_log, at=at, count=10)[1] == 415
    assert rows(cast, long_log, at="first-error", count=10)[1] == 695
    assert rows(cast, long_log, at="first-error", count=10, source="stderr")[:2] == (1, 0)


def test_a_search_counts_and_goes_round(cast: SimpleNamespace, long_log: TrainingJob) -> None:
    count, index, first = hits(cast, long_log, text="hundred")
    assert (count, index) == (10, 1)
    assert hits(cast, long_log, text="hundred", origin=first)[1] == 2
    assert hits(cast, long_log, text="hundred", origin=first, back="yes")[1] == 10
    assert hits(cast, long_log, text="hundred", source="stderr")[:2] == (1, 1)
    assert hits(cast, long_log, text="nowhere") == (0, 0, "")


def test_a_link_to_a_line_works_without_scripts(cast: SimpleNamespace, long_log: TrainingJob) -> None:
    _, _, at = hits(cast, long_log, text="line 420")
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
