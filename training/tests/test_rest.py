"""People's REST API: lists in pages, filters by an allow-list, errors as problems, jobs made once."""

import base64
import json
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from training.jobs import selectors
from training.models import Dataset, JobState, Membership, Role, TrainingJob, TrainingLog
from training.people.keys import key_create
from training.tests.conftest import job_make, person
from training.tests.journal_entries import lines, metrics, named, tell
from training.tests.rest_program import JOBS, Program, wanted

pytestmark = pytest.mark.django_db


def test_a_job_is_told_with_all_that_was_asked_for(program: Program, cast: SimpleNamespace) -> None:
    job = job_make(cast, name="Bottles", config={"epochs": 5})
    told = program.get(f"{JOBS}/{job.pk}").json()
    assert (told["name"], told["state"], told["config"]) == ("Bottles", "queued", {"epochs": 5})
    assert told["project"]["name"] == "Bottles" and told["created_by"] == "owner" and told["dataset"] is None
    assert told["url"].endswith(f"/jobs/{job.pk}/") and told["progress"]["fraction"] is None


def test_a_list_is_walked_there_and_back_without_a_gap_or_a_repeat_while_jobs_are_added(
    program: Program, cast: SimpleNamespace
) -> None:
    made = [job_make(cast, name="one").pk for _ in range(7)]
    pages = [program.get(JOBS, limit=3, name="one").json()]
    while pages[-1]["next"]:
        job_make(cast, name="one")
        pages.append(program.get(pages[-1]["next"]).json())
    assert [job["id"] for page in pages for job in page["items"]] == made[::-1]
    back = program.get(pages[-1]["previous"]).json()
    assert back["items"] == pages[-2]["items"] and back["next"]
    assert pages[0]["previous"] is None and "name=one" in back["previous"]


@pytest.mark.parametrize("cursor", ["x", "YmVmb3JlIC0x", "YmVmb3JlIDEy!", "é", "x" * 201, "AAAA"])
def test_a_cursor_that_is_not_ours_is_400(program: Program, cursor: str) -> None:
    assert program.get(JOBS, cursor=cursor).status_code == 400


def test_a_cursor_that_was_changed_is_400(program: Program, cast: SimpleNamespace) -> None:
    for _ in range(2):
        job_make(cast)
    cursor = program.get(JOBS, limit=1).json()["next"].split("cursor=")[1].split("&")[0]
    place = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    other = base64.urlsafe_b64encode(place.replace(place[:2], b"o9", 1)).decode()
    assert program.get(JOBS, cursor=cursor).status_code == 200
    assert program.get(JOBS, cursor=other.rstrip("=")).status_code == 400


def test_jobs_are_filtered(program: Program, cast: SimpleNamespace) -> None:
    job_make(cast, JobState.FAILED, name="one")
    job_make(cast, JobState.RUNNING, name="two", created_by=cast.teammate)
    for query, names in [
        ({"state": ["failed", "running"]}, {"one", "two"}),
        ({"state": "failed"}, {"one"}),
        ({"created_by": "teammate"}, {"two"}),
        ({"name": "TW"}, {"two"}),
        ({"project": cast.experiment.project_id, "trainer": "timm"}, set()),
    ]:
        assert {job["name"] for job in program.get(JOBS, **query).json()["items"]} == names


@pytest.mark.parametrize("name", ["owner__password__startswith", "created_by__password__startswith", "id__gt", "State"])
@pytest.mark.parametrize("place", [JOBS, "/api/v1/training/datasets", "/api/v1/training/projects"])
def test_a_filter_that_is_not_on_the_list_is_400_and_named(program: Program, place: str, name: str) -> None:
    response = program.get(place, **{name: "a"})
    assert response.status_code == 400 and response.json()["errors"][0]["field"] == name


@pytest.mark.parametrize(
    "query",
    [
        {"state": "resting"},
        {"limit": 0},
        {"limit": 101},
        {"project": 10**30},
        {"project": "1.5"},
        {"name": "a\x00b"},
        {"trainer": "x" * 201},
    ],
)
def test_a_parameter_out_of_range_is_400_and_named(program: Program, query: dict[str, Any]) -> None:
    response = program.get(JOBS, **query)
    assert response.status_code == 400
    assert response.json()["errors"][0]["field"].split(".")[0] in query


def test_a_problem_has_a_form_and_the_requests_id(program: Program) -> None:
    response = program.client.get(f"{JOBS}/{10**30}", headers={"X-Request-ID": "mine-12345"})
    told = response.json()
    assert response["Content-Type"] == "application/problem+json" and response["X-Request-ID"] == "mine-12345"
    assert (told["status"], told["request_id"], response.status_code) == (404, "mine-12345", 404)


def test_an_id_that_is_not_plain_is_replaced(program: Program) -> None:
    response = program.client.get(JOBS, headers={"X-Request-ID": "<script>alert(1)"})
    assert len(response["X-Request-ID"]) == 32


def test_an_error_of_ours_is_a_problem_too(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("inside")

    monkeypatch.setattr(selectors, "jobs_visible", broken)
    response = program.get(JOBS)
    assert response.status_code == 500 and response.json()["request_id"] and b"inside" not in response.content


def test_a_job_is_made_and_queued(program: Program, cast: SimpleNamespace) -> None:
    response = program.post(JOBS, wanted(cast, name="From afar", config={"epochs": 3}))
    job = TrainingJob.objects.get()
    assert response.status_code == 201 and response.json()["id"] == job.pk and job.created_by == cast.owner
    assert (job.name, job.state, job.config["epochs"]) == ("From afar", "queued", 3)


def test_every_wrong_field_is_named(program: Program, cast: SimpleNamespace) -> None:
    response = program.post(JOBS, wanted(cast, config={"epochs": "many", "imgsz": -1}))
    assert response.status_code == 422
    assert {error["field"] for error in response.json()["errors"]} == {"epochs", "imgsz"}
    assert program.post(JOBS, {"trainer": "x"}).json()["errors"][0]["field"] == "experiment"
    assert "known are" in program.post(JOBS, wanted(cast, trainer="magic")).json()["detail"]


@pytest.mark.parametrize(
    "body",
    ["{", b"\xff", '{"name": ' + "1" * 5000 + "}", "[" * 30_000, '{"config": {"lr0": NaN}}', '{"name": "\\u0000"}'],
)
def test_what_is_not_a_good_body_is_400(program: Program, body: str | bytes) -> None:
    response = program.post(JOBS, body)
    assert response.status_code == 400 and response["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("body", ["7", '"text"', "[]", "null"])
def test_a_body_that_is_no_object_is_422(program: Program, body: str) -> None:
    assert program.post(JOBS, body).status_code == 422


@pytest.mark.parametrize("config", [{"x": "\x00"}, {"\x00": 1}, {"x": ["\ud800"]}, {"x": float("nan")}, {"x": 1e999}])
def test_no_setting_breaks_the_database(program: Program, cast: SimpleNamespace, config: dict[str, Any]) -> None:
    assert program.post(JOBS, wanted(cast, config=config)).status_code == 400


def test_a_repeat_with_the_same_key_is_the_same_job(program: Program, cast: SimpleNamespace) -> None:
    first, again = (program.post(JOBS, wanted(cast), **{"Idempotency-Key": "abc"}) for _ in range(2))
    assert first.json()["id"] == again.json()["id"] and TrainingJob.objects.count() == 1
    other = program.post(JOBS, wanted(cast, model_name="yolo11s.yaml"), **{"Idempotency-Key": "abc"})
    assert other.status_code == 409 and TrainingJob.objects.count() == 1


def test_another_organizations_id_in_a_body_is_404(program: Program, cast: SimpleNamespace) -> None:
    fields = {"name": "theirs", "format": "yolo", "task_type": "detection", "prefix": "p"}
    theirs = Dataset.objects.create(organization=cast.theirs, **fields)
    assert program.post(JOBS, wanted(cast, dataset=theirs.pk)).status_code == 404
    assert program.post(JOBS, wanted(cast, experiment=10**9)).status_code == 404
    assert not TrainingJob.objects.exists()


def test_a_key_sees_its_own_organization_only(cast: SimpleNamespace) -> None:
    Membership.objects.create(user=cast.owner, organization=cast.theirs, role=Role.ADMIN)
    _, token = key_create(cast.owner, cast.theirs, "theirs", write=True)
    job = job_make(cast)
    client = Client(headers={"Authorization": f"Bearer {token}"})
    assert client.get(f"{JOBS}/{job.pk}").status_code == 404 and client.get(JOBS).json()["items"] == []
    assert client.get("/api/v1/training/projects").json()["items"] == []
    assert client.get("/api/v1/training/experiments").json()["items"] == []


def test_advanced_settings_are_for_advanced_engineers(cast: SimpleNamespace) -> None:
    client = Client()
    client.force_login(person("junior", cast.organization, Role.STANDARD_ENGINEER))
    for setting, status in (({"mosaic": 0.123}, 403), ({"epochs": 7}, 201)):
        response = client.post(JOBS, wanted(cast, config=setting), content_type="application/json")
        assert response.status_code == status, response.content


def test_a_key_for_reading_makes_nothing(cast: SimpleNamespace, job: TrainingJob) -> None:
    reader = Program(cast, write=False)
    assert reader.get(JOBS).status_code == 200
    assert reader.post(JOBS, wanted(cast)).status_code == 403
    assert reader.post(f"{JOBS}/{job.pk}/cancel").status_code == 403


def test_a_bad_key_is_401_even_with_a_session_beside_it(cast: SimpleNamespace) -> None:
    client = Client()
    client.force_login(cast.owner)
    response = client.get(JOBS, headers={"Authorization": "Bearer vtk_a_b"})
    assert response.status_code == 401 and response["WWW-Authenticate"] == "Bearer"


def test_a_session_needs_its_csrf_token_to_change_anything(cast: SimpleNamespace, job: TrainingJob) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.owner)
    assert client.post(f"{JOBS}/{job.pk}/cancel").status_code == 403
    client.get(reverse("job-list"))
    token = client.cookies["csrftoken"].value
    assert client.post(f"{JOBS}/{job.pk}/cancel", headers={"X-CSRFToken": token}).status_code == 200


def test_starting_cancelling_and_restarting_are_told_as_states(program: Program, cast: SimpleNamespace) -> None:
    job = job_make(cast, JobState.DRAFT)

    def say(verb: str) -> Any:
        return program.post(f"{JOBS}/{job.pk}/{verb}")

    assert [say("start").json()["state"] for _ in range(2)] == ["queued", "queued"]
    assert say("cancel").json()["state"] == "cancelled"
    assert say("cancel").status_code == 409 and say("start").status_code == 409
    assert say("restart").json()["state"] == "queued"
    assert say("restart").status_code == 409


def test_metrics_are_strict_json(program: Program, job: TrainingJob) -> None:
    tell(job, metrics(step=1, train__loss=float("nan")), named("val/map", 0.5))
    told = json.loads(program.get(f"{JOBS}/{job.pk}/metrics", name="train/loss").content, parse_constant=pytest.fail)
    assert [block["values"] for block in told["blocks"] if block["values"]] == [[["NaN"]]] and told["seq"] == 2
    assert program.get(f"{JOBS}/{job.pk}/metrics", after=2).json()["blocks"] == []


def test_logs_are_cut_by_level_time_and_place(program: Program, job: TrainingJob) -> None:
    tell(job, lines("one", "two"), lines("bad", level=40))
    TrainingLog.objects.filter(level=20).update(time=100.0)
    TrainingLog.objects.filter(level=40).update(time=200.0)
    address = f"{JOBS}/{job.pk}/logs"

    def said(**query: Any) -> list[str]:
        return [line["message"] for line in program.get(address, **query).json()["items"]]

    assert said() == ["one", "two", "bad"] and said(level="error") == ["bad"]
    assert said(since=150) == ["bad"] and said(until="1970-01-01T00:02:30Z") == ["one", "two"]
    assert said(limit=1, offset=1) == ["two"]
    assert program.get(address, limit=1).json()["total"] == 3


@pytest.mark.parametrize("query", [{"level": "loud"}, {"since": "soon"}, {"limit": 1001}, {"offset": -1}])
def test_a_question_about_logs_that_makes_no_sense_is_400(
    program: Program, job: TrainingJob, query: dict[str, Any]
) -> None:
    assert program.get(f"{JOBS}/{job.pk}/logs", **query).status_code == 400


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "-1e15", "1e300"])
def test_no_time_breaks_the_log(program: Program, job: TrainingJob, time: str) -> None:
    assert program.get(f"{JOBS}/{job.pk}/logs", since=time).status_code in (200, 400)


def test_a_page_of_jobs_costs_few_queries(
    program: Program, cast: SimpleNamespace, django_assert_max_num_queries: Any
) -> None:
    for _ in range(20):
        job_make(cast)
    program.get(JOBS)
    with django_assert_max_num_queries(10):
        assert len(program.get(JOBS).json()["items"]) == 20


def test_the_documentation_loads_nothing_from_elsewhere(client: Client) -> None:
    page = client.get("/api/docs").content.decode()
    assert "swagger-ui" in page and "https://" not in page
    document = client.get("/api/openapi.json").json()
    assert document["paths"][JOBS]["post"]["requestBody"] and "yolo11n.yaml" in json.dumps(document)


def test_a_job_is_told_to_the_backends_that_are_asked_for(
    program: Program, cast: SimpleNamespace, settings: Any
) -> None:
    settings.OBSERVABILITY_BACKENDS = ["database", "mlflow", "tensorboard"]
    for chosen, told in ((["mlflow"], ["database", "mlflow"]), ([], ["database"])):
        response = program.post(JOBS, wanted(cast, observability_backends=chosen))
        assert response.status_code == 201 and response.json()["observability_backends"] == told
    assert program.post(JOBS, wanted(cast)).json()["observability_backends"] == ["database", "mlflow", "tensorboard"]
    refused = program.post(JOBS, wanted(cast, observability_backends=["comet"]))
    assert refused.status_code == 422 and "configured are database, mlflow" in refused.content.decode()


def test_a_key_that_was_used_with_other_backends_is_409(program: Program, cast: SimpleNamespace, settings: Any) -> None:
    settings.OBSERVABILITY_BACKENDS = ["database", "mlflow"]
    for chosen, status in ((["mlflow"], 201), (["mlflow"], 201), ([], 409)):
        body = wanted(cast, observability_backends=chosen)
        assert program.post(JOBS, body, **{"Idempotency-Key": "abc"}).status_code == status


def test_a_restart_from_the_last_checkpoint_says_that_there_is_none(program: Program, cast: SimpleNamespace) -> None:
    job = job_make(cast, JobState.FAILED, error_message="it broke")
    refused = program.post(f"{JOBS}/{job.pk}/restart", {"from": "last"})
    assert refused.status_code == 409 and "no checkpoint to resume from" in refused.json()["detail"]
    assert program.get(f"{JOBS}/{job.pk}").json()["state"] == "failed"
    assert program.post(f"{JOBS}/{job.pk}/restart", {"from": "elsewhere"}).status_code == 422
    again = program.post(f"{JOBS}/{job.pk}/restart", {"from": "beginning", "batch_size": 4}).json()
    assert (again["state"], again["config"]["batch_size"]) == ("queued", 4)


def test_a_job_is_not_continued_from_what_is_not_complete(program: Program, cast: SimpleNamespace) -> None:
    parent = job_make(cast, JobState.FAILED)
    told = program.post(JOBS, wanted(cast, parent=parent.pk))
    assert told.status_code == 422 and "no best checkpoint" in told.content.decode()
    assert program.post(JOBS, wanted(cast, parent=parent.pk + 1)).status_code == 404
