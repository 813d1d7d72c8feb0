"""The table of jobs: filters, columns, order, pages, CSV, and one verb for many rows."""

import re
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from training.jobs.tags import job_tag
from training.models import JobState, JobTag, MetricSummary, Project, TrainingJob
from training.tables import cell
from training.tests.conftest import job_make
from training.tests.test_pages import browser, text_of, whole

pytestmark = pytest.mark.django_db
METRIC = "metrics/mAP50-95(B)"


def names(client: Client, **params: Any) -> list[str]:
    """The names of the jobs in the table, in its order."""
    page = text_of(client, f"/jobs/?{urlencode(params, doseq=True)}")
    return re.findall(r'class="name"[^>]*>([^<]*)<', page)


@pytest.fixture
def owner(cast: SimpleNamespace) -> Client:
    return browser(cast.owner)


@pytest.fixture
def three(cast: SimpleNamespace) -> list[TrainingJob]:
    """A failed, a queued and a completed job, with different settings and scores; the newest last."""
    settings: list[dict[str, Any]] = [{"epochs": 5, "optimizer": "SGD"}, {"epochs": 50}, {"epochs": 9, "amp": True}]
    states = (JobState.FAILED, JobState.QUEUED, JobState.COMPLETED)
    made = [
        job_make(cast, state, name=name, config=config)
        for name, state, config in zip("abc", states, settings, strict=True)
    ]
    for job, best in zip(made, (0.5, None, 0.25), strict=True):
        if best is not None:
            MetricSummary.objects.create(job=job, name=METRIC, best=best, latest=0.9, count=1)
    return made


def test_the_address_filters(cast: SimpleNamespace, owner: Client, three: list[TrainingJob]) -> None:
    job_tag(three[0], ["base line"])
    assert names(owner) == ["c", "b", "a"]
    assert names(owner, state=["failed", "queued"]) == ["b", "a"]
    assert names(owner, tag="base line") == ["a"] and names(owner, tag="nobody's") == []
    assert names(owner, text="yolo11n") == ["c", "b", "a"] and names(owner, text=f"#{three[1].pk}") == ["b"]
    assert names(owner, person="owner", trainer="ultralytics", project=cast.experiment.project_id) == ["c", "b", "a"]
    assert names(owner, person="stranger") == names(owner, trainer="none") == names(owner, experiment=10**15) == []


def test_conditions_compare_metrics_and_settings(owner: Client, three: list[TrainingJob]) -> None:
    assert names(owner, where="setting:epochs>=9") == ["c", "b"]
    assert names(owner, where="setting:optimizer=SGD") == ["a"] and names(owner, where="setting:amp=true") == ["c"]
    assert names(owner, where=f"metric:{METRIC} > 0.3") == ["a"]
    assert names(owner, where=[f"metric:{METRIC}<1", "setting:epochs<9"]) == ["a"]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        *(("name", "abc"), ("-name", "cba"), ("created", "abc"), ("state", "cab")),
        *((f"metric:{METRIC}", "cab"), (f"-metric:{METRIC}", "acb"), ("setting:optimizer", "acb")),
        *(("setting:epochs", "acb"), ("-setting:epochs", "bca")),
    ],
)
def test_columns_sort_and_what_has_no_value_comes_last(
    owner: Client, three: list[TrainingJob], sort: str, order: str
) -> None:
    columns = [f"metric:{METRIC}", "setting:epochs", "setting:optimizer"]
    assert names(owner, sort=sort, column=columns) == list(order)


@pytest.mark.parametrize("sort", ["project", "trainer", "dataset", "person", "started", "-ended", "duration"])
def test_every_order_that_is_offered_works(owner: Client, three: list[TrainingJob], sort: str) -> None:
    assert sorted(names(owner, sort=sort)) == ["a", "b", "c"]


def test_durations_sort_by_their_length(owner: Client, three: list[TrainingJob]) -> None:
    now = timezone.now()
    for job, minutes in zip(three, (5, 1, 90), strict=True):
        TrainingJob.objects.filter(pk=job.pk).update(started_at=now - timedelta(minutes=minutes), ended_at=now)
    TrainingJob.objects.filter(pk=three[2].pk).update(ended_at=None)
    assert names(owner, sort="duration") == ["b", "a", "c"] and names(owner, sort="-duration") == ["c", "a", "b"]


def test_columns_of_choice_show_the_best_value(owner: Client, three: list[TrainingJob]) -> None:
    page = text_of(owner, f"/jobs/?{urlencode({'column': [f'metric:{METRIC}', 'setting:optimizer']}, doseq=True)}")
    assert f'data-label="{METRIC}">0.5000<' in page and 'data-label="optimizer">SGD<' in page


@pytest.mark.parametrize(
    "address",
    [
        *("created_by__password__startswith=pbkdf2", "owner__password=x", "state=nonsense", "project=x", "project=-1"),
        *("project=99999999999999999999", "page=x", "page=0", "sort=password", "sort=created_by__password"),
        *("sort=metric:not-shown", "column=password", "column=setting:a__b%27%22", "column=metric:%00"),
        *("column=" + "&column=".join(f"metric:{n}" for n in range(9)), "shown=everything", "text=a%00b"),
        *("where=epochs>3", "where=setting:epochs>x", "where=metric:a=x", "where=config__epochs=3", "id=3"),
        *("&".join(f"where=setting:a{n}=1" for n in range(5)), "text=" + "x" * 201, "tag=%ED%A0%80%00"),
    ],
)
def test_an_address_that_makes_no_sense_is_answered_400_with_a_plain_page(
    cast: SimpleNamespace, owner: Client, job: TrainingJob, address: str
) -> None:
    for path in ("/jobs/", "/jobs/rows/", "/jobs/table.csv"):
        if path == "/jobs/rows/" and address == "id=3":
            continue
        response = owner.get(f"{path}?{address}")
        assert response.status_code == 400 and "That request can't be read" in response.content.decode()
        assert "Traceback" not in response.content.decode() and "A job" not in response.content.decode()


@pytest.mark.parametrize(
    "where", ["setting:epochs=1e999", "setting:epochs=9e30", "setting:epochs>9e30", "metric:a>9e300"]
)
def test_numbers_beyond_any_column_are_no_error(owner: Client, three: list[TrainingJob], where: str) -> None:
    assert names(owner, where=where) == []


def test_another_organizations_project_and_person_are_no_different_from_none(
    cast: SimpleNamespace, owner: Client, job: TrainingJob
) -> None:
    theirs = Project.objects.create(organization=cast.theirs, name="Secret project")
    page = text_of(owner, f"/jobs/?project={theirs.pk}&person=stranger")
    assert "No job passes" in page and "Secret project" not in page


def test_what_a_form_leaves_empty_is_dropped_from_the_address(owner: Client, three: list[TrainingJob]) -> None:
    response = owner.get("/jobs/?text=&project=&state=failed&where=")
    assert response.status_code == 302 and response["Location"] == "/jobs/?state=failed"


def test_the_address_holds_the_whole_state(owner: Client, cast: SimpleNamespace) -> None:
    for number in range(60):
        job_make(cast, JobState.FAILED, name=f"job {number:02}", config={"epochs": number})
    address = {"state": "failed", "column": "setting:epochs", "sort": "-setting:epochs"}
    assert names(owner, **address)[:2] == ["job 59", "job 58"]
    page = text_of(owner, f"/jobs/?{urlencode(address)}")
    after = re.search(r'href="\?([^"]*page=2)"', page)
    assert after is not None and "sort=-setting%3Aepochs" in after[1] and "state=failed" in after[1]
    assert names(owner, **address, page=2)[0] == "job 09"


def test_archived_jobs_are_hidden_until_asked_for(
    cast: SimpleNamespace, owner: Client, three: list[TrainingJob]
) -> None:
    TrainingJob.objects.filter(pk=three[0].pk).update(archived_at=timezone.now())
    TrainingJob.objects.filter(pk=three[2].pk).update(deleted_at=timezone.now())
    assert names(owner) == ["b"] and names(owner, shown="archived") == ["a"]
    assert names(owner, shown="all") == ["b", "a"] and names(owner, shown="deleted") == ["c"]


def test_open_pages_ask_for_the_rows_that_they_show(
    cast: SimpleNamespace, owner: Client, three: list[TrainingJob]
) -> None:
    hidden = job_make(cast, name="not shown")
    TrainingJob.objects.filter(pk=three[2].pk).update(deleted_at=timezone.now())
    ids = "&".join(f"id={job.pk}" for job in three)
    response = owner.get(f"/jobs/rows/?{ids}&newest={three[2].pk}&sort=name")
    assert re.findall(r'class="name"[^>]*>([^<]*)<', response.content.decode()) == ["a", "b"]
    assert response["HX-Trigger"] == "jobsnewer"
    assert "HX-Trigger" not in owner.get(f"/jobs/rows/?{ids}&newest={hidden.pk}")
    stranger = browser(cast.stranger).get(f"/jobs/rows/?{ids}")
    assert stranger.status_code == 200 and not stranger.content.strip()


def test_the_csv_holds_every_job_that_matches(cast: SimpleNamespace, owner: Client, three: list[TrainingJob]) -> None:
    job_tag(three[0], ["-1.5", "z"])
    TrainingJob.objects.filter(pk=three[0].pk).update(name='=cmd()|"x",y', error_message="-1.5\nTraceback")
    query = urlencode({"state": "failed", "column": [f"metric:{METRIC}", "setting:epochs"]}, doseq=True)
    head, row, end = whole(owner.get(f"/jobs/table.csv?{query}")).split("\r\n")
    assert head.endswith(f"error,message,{METRIC},epochs") and end == ""
    assert f'{three[0].pk},"\'=cmd()|""x"",y",failed' in row
    assert '"\'-1.5, z"' in row and row.endswith(",-1.5,0.5,5")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        *(("=1+1", "'=1+1"), ("+x", "'+x"), ("@SUM(A1)", "'@SUM(A1)"), ("-1+cmd", "'-1+cmd"), (" =x", "' =x")),
        *(("-1.5", "-1.5"), (-1.5, -1.5), ("+3e-4", "+3e-4"), ("\tx", "'\tx"), ("a-b", "a-b"), (None, "")),
        *((True, "true"), ([1], "[1]"), (float("nan"), "NaN"), (float("-inf"), "'-Infinity")),
    ],
)
def test_a_cell_is_a_number_or_text_and_never_a_formula(value: Any, written: Any) -> None:
    assert cell(value) == written


def bulk(client: Client, action: str, *jobs: TrainingJob, **more: Any) -> Any:
    return client.post("/jobs/bulk/", {"action": action, "job": [job.pk for job in jobs], **more}, follow=True)


def states(*jobs: TrainingJob) -> list[str]:
    return [TrainingJob.objects.get(pk=job.pk).state for job in jobs]


def test_in_bulk_somebody_is_asked_first(owner: Client, three: list[TrainingJob]) -> None:
    page = bulk(owner, "cancel", *three).content.decode()
    assert "Cancel this job?" in page and "2 will be left as they are" in page and "nothing to cancel" in page
    assert states(*three) == ["failed", "queued", "completed"]


def test_in_bulk_what_was_refused_is_told_with_its_reason(owner: Client, three: list[TrainingJob]) -> None:
    page = bulk(owner, "cancel", *three, confirmed="yes", back="state=queued").content.decode()
    assert "“b” was cancelled." in page and "“a”: It is failed" in page
    assert states(*three) == ["failed", "cancelled", "completed"]
    assert "No job passes" in page  # it is back at the filter


def test_a_deletion_is_undone_by_the_button_in_its_message(owner: Client, three: list[TrainingJob]) -> None:
    page = bulk(owner, "delete", three[0], three[2], confirmed="yes").content.decode()
    assert "2 jobs were deleted." in page and names(owner) == ["b"]
    form = page[page.index('value="undelete"') : page.index(">Undo<")]
    undone = [int(number) for number in re.findall(r'name="job" value="(\d+)"', form)]
    assert set(undone) == {three[0].pk, three[2].pk}
    back = owner.post("/jobs/bulk/", {"action": "undelete", "job": undone}, follow=True)
    assert "2 jobs were brought back." in back.content.decode() and names(owner) == ["c", "b", "a"]


def test_deleting_the_same_twice_says_so_and_breaks_nothing(owner: Client, three: list[TrainingJob]) -> None:
    bulk(owner, "delete", three[0], confirmed="yes")
    assert "was deleted" in bulk(owner, "delete", three[0], confirmed="yes").content.decode()
    assert "is not there any more" in bulk(owner, "archive", three[0], confirmed="yes").content.decode()


def test_tags_in_bulk(owner: Client, three: list[TrainingJob]) -> None:
    assert "Tags, with commas" in bulk(owner, "tag", *three, confirmed="yes").content.decode()
    bulk(owner, "tag", *three, confirmed="yes", tags="one, two")
    bulk(owner, "untag", three[0], confirmed="yes", tags="two")
    assert JobTag.objects.count() == 5
    assert bulk(owner, "tag", *three, confirmed="yes", tags="x" * 51).status_code == 400


@pytest.mark.parametrize(
    "form", [{"action": "explode"}, {"action": "cancel", "job": "x"}, {"action": "cancel", "back": "owner__password=x"}]
)
def test_a_bulk_that_makes_no_sense_is_400(owner: Client, form: dict[str, str]) -> None:
    assert owner.post("/jobs/bulk/", form).status_code == 400


def test_another_organizations_job_is_not_touched_in_bulk(cast: SimpleNamespace, job: TrainingJob) -> None:
    page = bulk(browser(cast.stranger), "cancel", job, confirmed="yes").content.decode()
    assert "is not there any more" in page and states(job) == ["queued"]


def test_the_job_page_tags_archives_and_deletes(owner: Client, three: list[TrainingJob]) -> None:
    address = f"/jobs/{three[0].pk}/"
    owner.post(f"{address}tags/", {"tags": "one, <b>two</b>"})
    owner.post(f"{address}archive/")
    page = text_of(owner, address)
    assert "&lt;b&gt;two&lt;/b&gt;" in page and "Take out of the archive" in page
    deleted = owner.post(f"{address}delete/", follow=True)
    assert deleted.redirect_chain == [("/jobs/", 302)] and ">Undo<" in deleted.content.decode()
    assert owner.get(address).status_code == 404 and owner.post(f"{address}delete/").status_code == 404


def test_a_running_job_is_not_deleted_and_its_page_says_why(cast: SimpleNamespace, owner: Client) -> None:
    job = job_make(cast, JobState.RUNNING)
    page = owner.post(f"/jobs/{job.pk}/delete/", follow=True).content.decode()
    assert "cancel it first" in page and states(job) == ["running"]


def test_someone_who_may_only_watch_chooses_jobs_to_compare_and_nothing_else(
    cast: SimpleNamespace, three: list[TrainingJob]
) -> None:
    page = text_of(browser(cast.teammate), "/jobs/")
    assert 'name="job"' in page and reverse("compare") in page
    assert not re.search(r'name="action" value="(?!compare)', page)
