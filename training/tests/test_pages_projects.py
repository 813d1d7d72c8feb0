"""The pages of projects: what is in them, by experiment, for those who belong to them."""

from types import SimpleNamespace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from training.models import Experiment, JobState, Project
from training.projects.services import experiment_edit, project_archive
from training.tests.conftest import job_make, person
from training.tests.test_pages import EVIL, browser, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def address(cast: SimpleNamespace) -> str:
    return f"/projects/{cast.experiment.project_id}/"


def test_the_list_counts_what_is_in_a_project(cast: SimpleNamespace, address: str) -> None:
    for state in (JobState.QUEUED, JobState.RUNNING, JobState.FAILED):
        job_make(cast, state)
    page = text_of(browser(cast.teammate), "/projects/")
    assert f'href="{address}"' in page and 'data-label="jobs">3<' in page and '<span class="pill busy">2</span>' in page
    assert "Bottles" not in text_of(browser(cast.stranger), "/projects/")


def test_a_project_without_jobs_comes_last(cast: SimpleNamespace) -> None:
    Project.objects.create(organization=cast.organization, name="An empty one")
    job_make(cast)
    page = text_of(browser(cast.owner), "/projects/")
    assert page.index("Bottles") < page.index("An empty one")


def test_an_empty_list_says_how_one_is_made(cast: SimpleNamespace) -> None:
    assert "Name one when you start a job" in text_of(browser(person("new", cast.theirs)), "/projects/")


def test_a_project_shows_its_experiments_and_jobs(cast: SimpleNamespace, address: str) -> None:
    second = Experiment.objects.create(project=cast.experiment.project, name="둘째")
    job_make(cast, name="one")
    job_make(cast, name="other", experiment=second)
    page = text_of(browser(cast.teammate), address)
    assert ">one<" in page and ">other<" in page and f'href="/experiments/{second.pk}/">둘째<' in page


def test_the_old_address_of_an_experiment_leads_to_its_page(cast: SimpleNamespace, address: str) -> None:
    response = browser(cast.teammate).get(f"{address}?experiment={cast.experiment.pk}")
    assert response["Location"] == f"/experiments/{cast.experiment.pk}/"


def test_a_new_job_begins_in_the_project(cast: SimpleNamespace, address: str) -> None:
    assert f"organization={cast.organization.pk}&amp;project=Bottles" in text_of(browser(cast.owner), address)
    assert "/jobs/new/" not in text_of(browser(cast.teammate), address)


def test_the_pages_of_a_filter_stay_in_it(cast: SimpleNamespace, address: str) -> None:
    experiment_edit(cast.experiment, "First", ["night"])
    for number in range(51):
        job_make(cast, name=f"job {number}")
    page = text_of(browser(cast.owner), f"{address}?tag=night")
    assert 'href="?tag=night&amp;page=2"' in page


@pytest.mark.parametrize("query", ["?experiment=x", "?experiment=999999", "?experiment=-1"])
def test_an_experiment_that_is_not_there_is_not_found(cast: SimpleNamespace, address: str, query: str) -> None:
    assert browser(cast.owner).get(address + query).status_code == 404


def test_a_strangers_project_is_no_different_from_none(cast: SimpleNamespace, address: str) -> None:
    other = Project.objects.create(organization=cast.theirs, name="Secret")
    hidden = Experiment.objects.create(project=other, name="Hidden")
    assert browser(cast.stranger).get(address).status_code == 404
    assert browser(cast.stranger).get(f"/projects/{10**18}/").status_code == 404
    assert browser(cast.owner).get(f"{address}?experiment={hidden.pk}").status_code == 404
    assert browser(cast.owner).get(f"/experiments/{hidden.pk}/").status_code == 404


def test_names_of_others_do_nothing_in_the_pages(cast: SimpleNamespace, address: str) -> None:
    Project.objects.update(name=EVIL)
    Experiment.objects.update(name=EVIL)
    job_make(cast, name=EVIL)
    for page in ("/projects/", address, f"/experiments/{cast.experiment.pk}/"):
        text = text_of(browser(cast.owner), page)
        assert "<img" not in text and 'hx-get="/evil' not in text


def test_the_pages_need_few_queries(cast: SimpleNamespace, address: str) -> None:
    for number in range(20):
        experiment = Experiment.objects.create(project=cast.experiment.project, name=f"e{number}")
        job_make(cast, experiment=experiment)
        Project.objects.create(organization=cast.organization, name=f"p{number}")
    owner = browser(cast.owner)
    for page in ("/projects/", address):
        with CaptureQueriesContext(connection) as queries:
            text_of(owner, page)
        assert len(queries) <= 25


def test_a_manager_makes_edits_and_archives_a_project(cast: SimpleNamespace) -> None:
    owner = browser(cast.owner)
    made = owner.post(
        "/projects/new/", {"organization": cast.organization.pk, "name": "캔", "description": "Two\nlines"}
    )
    project = Project.objects.get(name="캔")
    assert made["Location"] == f"/projects/{project.pk}/" and project.created_by == cast.owner
    owner.post(f"/projects/{project.pk}/edit/", {"name": "Cans", "description": ""})
    owner.post(f"/projects/{project.pk}/archive/")
    assert "takes no new jobs" in text_of(owner, f"/projects/{project.pk}/")
    assert ">Cans<" not in text_of(owner, "/projects/") and ">Cans<" in text_of(owner, "/projects/?archived=1")
    owner.post(f"/projects/{project.pk}/archive/", {"archived": "no"})
    assert Project.objects.get(pk=project.pk).archived_at is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "required"),
        ("x" * 300, "at most 120"),
        ("a\u202eb", "can&#x27;t be shown"),
        ("Bottles", "already has a project"),
    ],
)
def test_a_name_that_cannot_be_kept_is_refused_at_its_field(cast: SimpleNamespace, name: str, said: str) -> None:
    response = browser(cast.owner).post("/projects/new/", {"organization": cast.organization.pk, "name": name})
    assert response.status_code == 422 and said in response.content.decode() and Project.objects.count() == 1


def test_a_project_with_html_in_its_name_is_kept_and_shown_as_text(cast: SimpleNamespace) -> None:
    page = browser(cast.owner).post(
        "/projects/new/", {"organization": cast.organization.pk, "name": EVIL, "description": EVIL}, follow=True
    )
    assert Project.objects.filter(name=EVIL).exists() and "<img" not in page.content.decode()


def test_an_archived_project_takes_no_new_experiments_and_offers_no_jobs(cast: SimpleNamespace, address: str) -> None:
    project_archive(cast.experiment.project, True)
    owner = browser(cast.owner)
    assert "/jobs/new/" not in text_of(owner, address).split("<main")[1]
    assert owner.post(f"{address}experiments/new/", {"name": "Late"}).status_code == 422


def test_an_archived_experiment_leaves_the_list_and_comes_back(cast: SimpleNamespace, address: str) -> None:
    owner, place = browser(cast.owner), f"/experiments/{cast.experiment.pk}/"
    owner.post(f"{place}archive/")
    assert f'href="{place}"' not in text_of(owner, address) and f'href="{place}"' in text_of(
        owner, f"{address}?archived=1"
    )
    owner.post(f"{place}archive/", {"archived": "no"})
    assert f'href="{place}"' in text_of(owner, address)
