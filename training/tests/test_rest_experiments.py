"""REST: projects and experiments are made, changed, noted and starred as on the pages."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client

from training.models import Experiment, Star
from training.people.keys import key_create
from training.tests.conftest import job_make

pytestmark = pytest.mark.django_db
API = "/api/v1/training"


@pytest.fixture
def call(cast: SimpleNamespace) -> Any:
    _, secret = key_create(cast.owner, cast.organization, "a program", write=True)
    client = Client(headers={"Authorization": f"Bearer {secret}"})

    def ask(method: str, path: str, body: Any = None) -> Any:
        text = json.dumps(body) if body is not None else ""
        return getattr(client, method)(f"{API}{path}", text, content_type="application/json")

    return ask


def test_a_project_and_an_experiment_are_made_and_changed(cast: SimpleNamespace, call: Any) -> None:
    project = call("post", "/projects", {"organization": cast.organization.pk, "name": "캔"}).json()
    made = call("post", "/experiments", {"project": project["id"], "name": "One", "tags": ["night"]}).json()
    assert made["tags"] == ["night"] and made["notes_version"] == 0
    changed = call("patch", f"/experiments/{made['id']}", {"tags": [], "archived": True}).json()
    assert changed["tags"] == [] and changed["name"] == "One" and changed["archived_at"]
    assert call("patch", f"/projects/{project['id']}", {"description": "Cans"}).json()["name"] == "캔"


@pytest.mark.parametrize("name", ["", "x" * 121, "Bottles"])
def test_a_project_name_that_cannot_be_kept_is_a_problem_at_its_field(
    cast: SimpleNamespace, call: Any, name: str
) -> None:
    answer = call("post", "/projects", {"organization": cast.organization.pk, "name": name})
    assert answer.status_code == 422 and answer.json()["errors"][0]["field"] == "name"


def test_notes_of_an_older_version_are_a_conflict(cast: SimpleNamespace, call: Any) -> None:
    place = f"/experiments/{cast.experiment.pk}"
    assert call("put", f"{place}/notes", {"notes": "one", "version": 0}).json()["notes_version"] == 1
    answer = call("put", f"{place}/notes", {"notes": "two", "version": 0})
    assert answer.status_code == 409 and "version 1" in answer.json()["detail"]
    assert Experiment.objects.get().notes == "one"


def test_notes_on_a_job_are_read_and_replaced(cast: SimpleNamespace, call: Any) -> None:
    place = f"/jobs/{job_make(cast).pk}/notes"
    there = call("get", place).json()
    assert there == {"notes": "", "notes_version": 0, "notes_by": None, "notes_at": None}
    made = call("put", place, {"notes": "**0.71**\n", "version": 0}).json()
    assert (made["notes"], made["notes_version"], made["notes_by"]) == ("**0.71**", 1, "owner")
    answer = call("put", place, {"notes": "two", "version": 0})
    assert answer.status_code == 409 and "version 1" in answer.json()["detail"]


def test_stars_are_set_and_taken_as_often_as_one_likes(cast: SimpleNamespace, call: Any) -> None:
    place = f"/experiments/{cast.experiment.pk}/star"
    assert [call("put", place).status_code for _ in range(2)] == [204, 204] and Star.objects.count() == 1
    assert [call("delete", place).status_code for _ in range(2)] == [204, 204] and not Star.objects.exists()


def test_another_organization_in_a_body_is_not_found(cast: SimpleNamespace, call: Any) -> None:
    assert call("post", "/projects", {"organization": cast.theirs.pk, "name": "Ours?"}).status_code == 404
