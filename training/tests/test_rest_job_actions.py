"""REST: jobs archived, deleted, brought back and tagged, one or many."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client

from training.models import JobState, Role
from training.people.keys import key_create
from training.tests.conftest import job_make, person

pytestmark = pytest.mark.django_db
JOBS = "/api/v1/training/jobs"


@pytest.fixture
def call(cast: SimpleNamespace) -> Any:
    """`call(method, address, body)` as the owner's program: (status, answer)."""
    _, secret = key_create(cast.owner, cast.organization, "a program", write=True)

    def send(method: str, address: str, body: Any = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {secret}"}
        response = getattr(Client(), method)(address, body, content_type="application/json", headers=headers)
        return response.status_code, response.json()

    return send


def test_a_deleted_job_is_404_until_it_is_brought_back(cast: SimpleNamespace, call: Any) -> None:
    job = job_make(cast, JobState.COMPLETED)
    status, said = call("post", f"{JOBS}/{job.pk}/delete")
    assert (status, said["deleted_at"] is not None) == (200, True)
    assert call("get", f"{JOBS}/{job.pk}")[0] == 404 and call("post", f"{JOBS}/{job.pk}/archive")[0] == 404
    assert call("get", JOBS)[1]["items"] == []
    assert call("post", f"{JOBS}/{job.pk}/delete")[0] == 200  # a repeat
    assert call("post", f"{JOBS}/{job.pk}/undelete")[1]["deleted_at"] is None
    assert call("get", f"{JOBS}/{job.pk}")[0] == 200


@pytest.mark.parametrize("verb", ["delete", "archive"])
def test_a_running_job_is_refused_with_409(cast: SimpleNamespace, call: Any, verb: str) -> None:
    job = job_make(cast, JobState.RUNNING)
    status, said = call("post", f"{JOBS}/{job.pk}/{verb}")
    assert status == 409 and "running" in said["detail"]


def test_tags_are_set_whole(cast: SimpleNamespace, call: Any) -> None:
    job = job_make(cast)
    assert call("put", f"{JOBS}/{job.pk}/tags", {"tags": ["b", "a"]}) == (200, {"tags": ["a", "b"]})
    assert call("put", f"{JOBS}/{job.pk}/tags", {"tags": ["c"]}) == (200, {"tags": ["c"]})
    assert call("put", f"{JOBS}/{job.pk}/tags", {"tags": ["x" * 51]})[0] == 422
    assert call("get", f"{JOBS}/{job.pk}/tags") == (200, {"tags": ["c"]})


def test_many_jobs_are_each_done_or_refused(cast: SimpleNamespace, call: Any) -> None:
    ended, running = job_make(cast, JobState.FAILED), job_make(cast, JobState.RUNNING)
    other = person("other", cast.theirs, Role.ADMIN)
    hidden = job_make(cast, JobState.FAILED, created_by=other, experiment=_experiment_of(cast))
    body = {"action": "delete", "jobs": [ended.pk, running.pk, hidden.pk, 10**12, ended.pk]}
    status, said = call("post", "/api/v1/training/job-actions", body)
    assert status == 200 and [one["done"] for one in said["items"]] == [True, False, False, False]
    assert [one["reason"] for one in said["items"][2:]] == ["There is no such job."] * 2
    assert call("post", "/api/v1/training/job-actions", body | {"action": "undelete"})[1]["items"][0]["done"]


@pytest.mark.parametrize(
    "body",
    [
        {"action": "explode", "jobs": [1]},
        {"action": "tag", "jobs": [], "tags": ["a"]},
        {"action": "tag", "jobs": list(range(1, 502)), "tags": ["a"]},
        {"action": "tag", "jobs": [1], "tags": ["a,b"]},
        {"action": "tag", "jobs": ["x"], "tags": ["a"]},
    ],
)
def test_what_makes_no_sense_is_422(call: Any, body: dict[str, Any]) -> None:
    assert call("post", "/api/v1/training/job-actions", body)[0] == 422


def _experiment_of(cast: SimpleNamespace) -> Any:
    from training.models import Experiment, Project

    project = Project.objects.create(organization=cast.theirs, name="Theirs")
    return Experiment.objects.create(project=project, name="Theirs")
