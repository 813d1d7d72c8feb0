"""Going to anything by its name: what is found, in which form, and that nobody finds what is not theirs."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from training.models import Dataset, TrainingJob
from training.places import EACH, places_found
from training.tests.conftest import job_make
from training.tests.test_pages import browser

pytestmark = pytest.mark.django_db


def names(answer: Any) -> list[str]:
    return [place["name"] for place in answer.json()["places"]]


def asked(user: Any, words: str) -> Any:
    return browser(user).get(reverse("go"), {"q": words}, headers={"Accept": "application/json"})


@pytest.fixture
def jobs(cast: SimpleNamespace) -> list[TrainingJob]:
    told = {"format": "yolo", "task_type": "detection", "prefix": "p"}
    Dataset.objects.create(organization=cast.organization, name="Bottles at night", **told)
    return [job_make(cast, name=f"night run {n}") for n in range(EACH + 2)]


def test_all_words_count_and_the_newest_come_first(cast: SimpleNamespace, jobs: list[TrainingJob]) -> None:
    found = names(asked(cast.owner, "NIGHT run"))
    assert found == [f"night run {n}" for n in range(EACH + 1, 1, -1)]
    assert "Bottles at night" in names(asked(cast.owner, "night")) and "Bottles" in names(asked(cast.owner, "bott"))


def test_a_number_is_a_job_and_is_told_once(cast: SimpleNamespace, jobs: list[TrainingJob]) -> None:
    for words in (str(jobs[0].pk), f"#{jobs[0].pk}"):
        places = [one for one in places_found(cast.owner, words) if one.key == jobs[0].pk and one.kind == "Job"]
        assert len(places) == 1
    assert places_found(cast.owner, "9" * 40) == [] and places_found(cast.owner, "#²") == []


def test_pages_are_found_and_only_those_that_a_role_may_use(cast: SimpleNamespace) -> None:
    assert {"New job", "Import a dataset"} <= set(names(asked(cast.owner, "")))
    assert names(asked(cast.owner, "worker")) == ["Workers and queues"]
    assert not {"New job", "Import a dataset", "Administration"} & set(names(asked(cast.teammate, "")))


def test_a_stranger_and_a_deleted_job_find_each_other_not(cast: SimpleNamespace, jobs: list[TrainingJob]) -> None:
    TrainingJob.objects.filter(pk=jobs[1].pk).update(deleted_at=jobs[1].created_at)
    for words in ("night", "bottles", "first", str(jobs[0].pk)):
        assert names(asked(cast.stranger, words)) == []
    assert "night run 1" not in names(asked(cast.owner, "run 1"))


def test_it_is_a_page_as_well_and_names_are_text(cast: SimpleNamespace, jobs: list[TrainingJob]) -> None:
    TrainingJob.objects.filter(pk=jobs[0].pk).update(name="<b>night</b>\u202e")
    page = browser(cast.owner).get(reverse("go"), {"q": "<b>night"}).content.decode()
    assert (
        f'href="{reverse("job-page", args=[jobs[0].pk])}"' in page
        and "&lt;b&gt;night" in page
        and "<b>night" not in page
    )
    assert "Nothing is called so" in browser(cast.owner).get(reverse("go"), {"q": "\x00nowhere'%"}).content.decode()


def test_scripts_of_somebody_signed_out_are_told_so(cast: SimpleNamespace) -> None:
    assert Client().get(reverse("go"), headers={"Accept": "application/json"}).status_code == 401
