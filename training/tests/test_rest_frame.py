"""The frame around every operation of the REST API: errors, repeats, limits, versions, and the document of it all."""

import json
import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from training import tasks
from training.api.rest import api
from training.models import Experiment, JobState, KeptAnswer, Project, TrainingJob
from training.people import answers, rates
from training.people.keys import Caller, key_create
from training.tests.conftest import job_make
from training.tests.datasets_folder import small_dataset
from training.tests.rest_program import JOBS, Program, wanted

pytestmark = pytest.mark.django_db
ROOT = "/api/v1/training"
FORM = {"type", "title", "status", "detail", "request_id"}


def problem_of(response: Any) -> dict[str, Any]:
    told: dict[str, Any] = response.json()
    assert response["Content-Type"] == "application/problem+json" and set(told) >= FORM
    assert told["request_id"] == response["X-Request-ID"] and told["status"] == response.status_code
    return told


@pytest.mark.parametrize("address", ["/api/", "/api/v2/jobs", "/api/v1/training/jobs/", "/api/v1/training/jobs/x"])
def test_an_unknown_address_is_a_problem(program: Program, address: str) -> None:
    assert problem_of(program.get(address))["status"] == 404


@pytest.mark.parametrize("method", ["put", "delete", "patch", "options", "head"])
def test_a_method_that_is_not_there_is_405_with_those_that_are(program: Program, method: str) -> None:
    response = getattr(program.client, method)(JOBS)
    assert response.status_code == 405 and {"GET", "POST"} <= set(response["Allow"].replace(" ", "").split(","))
    if method != "head":
        problem_of(response)


def test_a_body_that_is_not_json_is_415(program: Program) -> None:
    response = program.client.post(JOBS, "a=b", content_type="application/x-www-form-urlencoded")
    assert problem_of(response)["status"] == 415


def test_a_large_body_is_413(program: Program) -> None:
    assert problem_of(program.post(JOBS, json.dumps({"name": "x" * 1_100_000})))["status"] == 413
    assert problem_of(program.post(JOBS, json.dumps({"name": "x" * 9_000_000})))["status"] == 413


def test_a_name_of_a_megabyte_is_refused_by_its_field(program: Program, cast: SimpleNamespace) -> None:
    told = problem_of(program.post(JOBS, wanted(cast, name="x" * 1_000_000)))
    assert told["status"] == 422 and told["errors"][0]["field"] == "name"


def test_without_credentials_it_is_401_before_anything_else(client: Client) -> None:
    response = client.post(JOBS, "{", content_type="application/json", query_params={"nothing": "known"})
    assert problem_of(response)["status"] == 401 and response["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("operation", [f"{ROOT}/trainers", f"{ROOT}/datasets", f"{JOBS}/1", f"{JOBS}/1/logs"])
def test_every_operation_refuses_parameters_that_it_does_not_have(program: Program, operation: str) -> None:
    told = problem_of(program.get(operation, owner__password__startswith="p"))
    assert (told["status"], told["errors"][0]["field"]) == (400, "owner__password__startswith")


# --- Repeats


def test_a_repeat_of_any_post_is_answered_as_the_first_was(program: Program) -> None:
    first, again = (program.post(f"{ROOT}/projects", {"name": "Cups"}, **{"Idempotency-Key": "k"}) for _ in range(2))
    assert first.status_code == again.status_code == 201 and first.content == again.content
    assert again["Idempotent-Replayed"] == "true" and Project.objects.filter(name="Cups").count() == 1


def test_a_key_that_was_used_for_something_else_is_409(program: Program, cast: SimpleNamespace) -> None:
    program.post(f"{ROOT}/projects", {"name": "Cups"}, **{"Idempotency-Key": "k"})
    assert program.post(f"{ROOT}/projects", {"name": "Jugs"}, **{"Idempotency-Key": "k"}).status_code == 409
    assert program.post(JOBS, wanted(cast), **{"Idempotency-Key": "k"}).status_code == 409
    assert not Project.objects.filter(name="Jugs").exists() and not TrainingJob.objects.exists()


def test_another_person_may_use_the_same_key(program: Program, cast: SimpleNamespace) -> None:
    client = Client()
    client.force_login(cast.stranger)
    headers = {"Idempotency-Key": "k"}
    program.post(f"{ROOT}/projects", {"name": "Cups"}, **headers)
    theirs = client.post(f"{ROOT}/projects", {"name": "Cups"}, content_type="application/json", headers=headers)
    assert theirs.status_code == 201 and theirs.json()["organization_id"] == cast.theirs.pk


def test_what_was_refused_may_be_tried_again_under_its_key(program: Program, cast: SimpleNamespace) -> None:
    job = job_make(cast, JobState.RUNNING)
    assert program.post(f"{JOBS}/{job.pk}/restart", **{"Idempotency-Key": "k"}).status_code == 409
    TrainingJob.objects.filter(pk=job.pk).update(state=JobState.FAILED)
    assert program.post(f"{JOBS}/{job.pk}/restart", **{"Idempotency-Key": "k"}).status_code == 200


@pytest.mark.parametrize("key", ["é", "x" * 129, "a\tb"])
def test_a_key_that_is_not_plain_is_400(program: Program, key: str) -> None:
    response = program.post(f"{ROOT}/projects", {"name": "Cups"}, **{"Idempotency-Key": key})
    assert response.status_code == 400 and not Project.objects.filter(name="Cups").exists()


def test_a_repeat_while_the_first_is_being_answered_is_409(program: Program, cast: SimpleNamespace) -> None:
    answers.answer_begin(cast.owner, "k", "0" * 64)
    with pytest.raises(answers.StillAnswering):
        answers.answer_begin(cast.owner, "k", "0" * 64)


def test_what_nobody_will_finish_is_begun_again_by_one(cast: SimpleNamespace) -> None:
    answers.answer_begin(cast.owner, "k", "0" * 64)
    KeptAnswer.objects.update(created_at=timezone.now() - answers.ABANDONED * 2)
    assert answers.answer_begin(cast.owner, "k", "0" * 64) is None
    with pytest.raises(answers.StillAnswering):
        answers.answer_begin(cast.owner, "k", "0" * 64)


def test_an_answer_that_is_shown_once_is_not_kept(cast: SimpleNamespace) -> None:
    answers.answer_begin(cast.owner, "k", "0" * 64)
    answers.answer_keep(cast.owner, "k", 201, {}, None)
    with pytest.raises(answers.ShownOnce):
        answers.answer_begin(cast.owner, "k", "0" * 64)


def test_answers_are_forgotten_after_a_day(cast: SimpleNamespace) -> None:
    for key, age in (("old", timedelta(hours=25)), ("new", timedelta(hours=23))):
        fields = {"user": cast.owner, "key": key, "fingerprint": "0" * 64, "status": 201, "body": ""}
        KeptAnswer.objects.create(**fields, created_at=timezone.now() - age)
    tasks.sweep()
    assert [kept.key for kept in KeptAnswer.objects.all()] == ["new"]


@pytest.mark.django_db(transaction=True)
def test_of_many_calls_at_once_under_one_key_one_is_made(cast: SimpleNamespace) -> None:
    caller = Program(cast)
    statuses: list[int] = []

    def call() -> None:
        try:
            response = caller.post(f"{ROOT}/projects", {"name": "Cups"}, **{"Idempotency-Key": "k"})
            statuses.append(response.status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=call) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert Project.objects.filter(name="Cups").count() == 1
    assert set(statuses) <= {201, 409} and statuses.count(201) >= 1 and len(statuses) == 6


# --- Limits


@pytest.fixture
def in_one_minute(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    clock = SimpleNamespace(now=600.0)
    monkeypatch.setattr(rates.time, "time", lambda: clock.now)
    return clock


def test_a_key_that_calls_too_often_is_429_until_the_minute_is_over(
    program: Program,
    settings: Any,
    in_one_minute: SimpleNamespace,
) -> None:
    settings.API_KEY_CALLS_A_MINUTE = 2
    told = [program.get(JOBS) for _ in range(3)]
    assert [one.status_code for one in told] == [200, 200, 429]
    assert [one["RateLimit-Remaining"] for one in told] == ["1", "0", "0"] and told[0]["RateLimit-Limit"] == "2"
    assert problem_of(told[2]) and told[2]["Retry-After"] == told[2]["RateLimit-Reset"] == "60"
    in_one_minute.now += 60
    assert program.get(JOBS).status_code == 200


def test_a_persons_keys_and_browser_count_together(cast: SimpleNamespace, settings: Any, in_one_minute: Any) -> None:
    settings.API_PERSON_CALLS_A_MINUTE = 3
    browser = Client()
    browser.force_login(cast.owner)
    callers = [Program(cast).client, Program(cast).client, browser, browser]
    assert [client.get(JOBS).status_code for client in callers] == [200, 200, 200, 429]


def test_limits_can_be_switched_off(cast: SimpleNamespace, settings: Any) -> None:
    settings.API_KEY_CALLS_A_MINUTE = settings.API_PERSON_CALLS_A_MINUTE = 0
    key, _ = key_create(cast.owner, cast.organization, "k", write=False)
    assert rates.call_count(Caller(cast.owner, key)) is None and "RateLimit-Limit" not in Program(cast).get(JOBS)


# --- Two who edit one thing


@pytest.mark.parametrize("noun", ["projects", "experiments"])
def test_who_edits_an_old_version_is_told_so(program: Program, cast: SimpleNamespace, noun: str) -> None:
    pk = cast.experiment.project_id if noun == "projects" else cast.experiment.pk
    address, version = f"{ROOT}/{noun}/{pk}", program.get(f"{ROOT}/{noun}/{pk}")["ETag"]

    def rename(name: str) -> Any:
        headers = {"If-Match": version}
        return program.client.patch(address, {"name": name}, content_type="application/json", headers=headers)

    assert rename("Mine").status_code == 200
    assert problem_of(rename("Theirs"))["status"] == 412
    version = program.get(address)["ETag"]
    assert rename("Theirs").json()["name"] == "Theirs"


@pytest.mark.parametrize("name", ["", "   ", "x" * 121, "\x00", 7, None])
def test_a_name_that_cannot_be_kept_is_refused(program: Program, name: Any) -> None:
    assert program.post(f"{ROOT}/projects", {"name": name}).status_code in (400, 422)


def test_a_name_that_is_taken_is_422(program: Program, cast: SimpleNamespace) -> None:
    project = cast.experiment.project
    assert problem_of(program.post(f"{ROOT}/projects", {"name": project.name}))["errors"][0]["field"] == "name"
    body = {"name": cast.experiment.name, "project": project.pk}
    assert program.post(f"{ROOT}/experiments", body).status_code == 422
    Experiment.objects.create(project=project, name="Second")
    address = f"{ROOT}/experiments/{cast.experiment.pk}"
    assert program.client.patch(address, {"name": "Second"}, content_type="application/json").status_code == 422


# --- The document


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for address, methods in json.loads(json.dumps(api.get_openapi_schema()))["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {address}", operation


@pytest.mark.parametrize(("name", "operation"), [pytest.param(*one, id=one[0]) for one in operations()])
def test_every_operation_is_documented(name: str, operation: dict[str, Any]) -> None:
    assert operation["summary"] and operation["description"] and operation["tags"] and operation["security"]
    assert {"400", "401", "403", "404", "429", "500"} <= set(operation["responses"])
    for content in operation.get("requestBody", {}).get("content", {}).values():
        assert "example" in content
    good = [answer for status, answer in operation["responses"].items() if status[0] in "23"]
    assert good and all("example" in content for one in good for content in one.get("content", {}).values())


def test_every_tag_says_what_it_is_about() -> None:
    document = api.get_openapi_schema()
    assert [tag["name"] for tag in document["tags"] if not tag["description"]] == []


def test_the_examples_of_bodies_are_what_the_operations_take(program: Program, cast: SimpleNamespace) -> None:
    body = dict(operations())[f"post {JOBS}"]["requestBody"]["content"]["application/json"]["example"]
    body |= {"experiment": cast.experiment.pk, "dataset": small_dataset(cast).pk, "parent": None, "pretrained": None}
    body |= {"observability_backends": []}
    response = program.post(JOBS, body)
    assert response.status_code == 201, response.content


def test_the_page_of_the_documentation_runs_nothing_inline(client: Client) -> None:
    page = client.get("/api/docs")
    text = page.content.decode()
    assert "https://" not in text and not re.search(r"<script(?![^>]*src=)|\son\w+=|<style|\sstyle=", text)
    assert "script-src" not in page["Content-Security-Policy"] and "'self'" in page["Content-Security-Policy"]
