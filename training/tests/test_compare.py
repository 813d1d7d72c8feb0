"""Jobs side by side: what is shown, to whom, and at what cost."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.urls import reverse

from training.jobs.compare import compare_csv, jobs_compare
from training.models import MetricSummary, TrainingJob
from training.tests.conftest import job_make
from training.tests.test_pages import browser

pytestmark = pytest.mark.django_db


def jobs_make(cast: SimpleNamespace, count: int) -> list[TrainingJob]:
    jobs = [job_make(cast, name=f"<i>run {n}", config={"epochs": 10, "lr0": n / 100}) for n in range(count)]
    for number, job in enumerate(jobs):
        MetricSummary.objects.create(job=job, name="metrics/mAP", best=number / 100, latest=0.5)
    return jobs


def address(jobs: list[TrainingJob], name: str = "compare") -> str:
    return f"{reverse(name)}?jobs={','.join(str(job.pk) for job in jobs)}"


def test_50_jobs_cost_at_most_25_queries(
    cast: SimpleNamespace, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    jobs, visitor = jobs_make(cast, 50), browser(cast.teammate)
    with django_assert_max_num_queries(25):
        page = visitor.get(address(jobs))
    assert page.status_code == 200 and b"run 49" in page.content and b"<i>" not in page.content


def test_what_is_equal_is_told_and_hidden(cast: SimpleNamespace) -> None:
    jobs = jobs_make(cast, 2)
    comparison = jobs_compare(jobs)
    assert {row.name: row.equal for row in comparison.settings} == {"epochs": True, "lr0": False}
    page = browser(cast.owner).get(address(jobs) + "&hide=yes")
    assert [row.name for row in page.context["settings"]] == ["lr0"] and page.context["environment"] == []


def test_the_address_holds_what_is_chosen(cast: SimpleNamespace) -> None:
    query = "&axis=time&x=best+metrics/mAP&y=setting+lr0&metric=metrics/mAP"
    context = browser(cast.owner).get(address(jobs_make(cast, 3)) + query).context
    chosen = [context[name] for name in ("axis", "x", "y", "metric")]
    assert chosen == ["time", "best metrics/mAP", "setting lr0", "metrics/mAP"]


def test_one_job_that_is_not_ours_hides_the_page(cast: SimpleNamespace) -> None:
    jobs = jobs_make(cast, 2)
    assert browser(cast.stranger).get(address(jobs)).status_code == 404
    assert browser(cast.owner).get(f"{address(jobs)},999999").status_code == 404


@pytest.mark.parametrize("jobs", ["", "1", "1,x", "1,-2", "1,²", ",".join(map(str, range(1, 52))), "1,1"])
def test_too_few_too_many_and_nonsense_are_refused(cast: SimpleNamespace, jobs: str) -> None:
    for name in ("compare", "compare-csv"):
        assert browser(cast.owner).get(reverse(name), {"jobs": jobs}).status_code == 400


def test_the_table_is_downloaded(cast: SimpleNamespace) -> None:
    jobs = jobs_make(cast, 2)
    assert browser(cast.owner).get(address(jobs, "compare-csv")).status_code == 200
    head, first, second = "".join(compare_csv(jobs_compare(jobs))).splitlines()
    assert head.startswith("job,name,state,setting epochs,setting lr0,") and head.endswith("last metrics/mAP")
    assert first.startswith(f"{jobs[0].pk},<i>run 0,queued,10,0.0,") and second.endswith("0.01,0.5")


def test_the_selection_of_the_jobs_table_leads_there_without_scripts(cast: SimpleNamespace) -> None:
    jobs = jobs_make(cast, 2)
    answer = browser(cast.owner).post(reverse("job-bulk"), {"action": "compare", "job": [job.pk for job in jobs]})
    assert answer.status_code == 302 and answer["Location"] == address(jobs)


def test_who_only_watches_may_choose_jobs_to_compare_them_and_nothing_else(cast: SimpleNamespace) -> None:
    job_make(cast, name="seen")
    page = browser(cast.teammate).get(reverse("job-list")).content.decode()
    assert 'name="job"' in page and 'value="compare"' in page and 'value="delete"' not in page
    deleted = browser(cast.teammate).get(reverse("job-list") + "?shown=deleted").content.decode()
    assert 'name="job"' not in deleted and 'value="undelete"' not in deleted
