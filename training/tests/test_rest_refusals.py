"""What the REST API refuses of the list of refusals: filters, foreign ids, numbers, texts and files that do harm."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from training.models import Dataset, Experiment, Project, TrainingJob
from training.tests.conftest import job_make
from training.tests.journal_entries import named, tell
from training.tests.rest_program import JOBS, Program, wanted
from training.tests.test_authorization import routes

pytestmark = pytest.mark.django_db
ROOT = "/api/v1/training"
REACHING = ["owner__password__startswith", "created_by__password", "experiment__project__organization", "pk__in"]
LISTS = [
    JOBS,
    f"{ROOT}/projects",
    f"{ROOT}/experiments",
    f"{ROOT}/datasets",
    f"{ROOT}/trainers",
    f"{ROOT}/organizations",
    f"{ROOT}/weights",
    f"{ROOT}/workers",
    f"{ROOT}/imports",
    f"{ROOT}/uploads",
    f"{ROOT}/presets",
]
OURS = f"{ROOT}/organizations/<int:organization_id>"
LISTS += [f"{ROOT}/projects/<int:project_id>/{what}" for what in ("alert-targets", "alert-rules", "alerts")]
LISTS += [f"{OURS}/members", f"{OURS}/invitations", f"{OURS}/audit"]
HUGE = [10**30, -(10**30), 2**63, -1, 0]
POSTS = [("projects", {"name": "x"}), ("experiments", {"project": 1, "name": "x"}), ("jobs", {"experiment": 1})]


@pytest.fixture
def theirs(cast: SimpleNamespace) -> SimpleNamespace:
    """What another organization has."""
    project = Project.objects.create(organization=cast.theirs, name="theirs")
    experiment = Experiment.objects.create(project=project, name="theirs")
    data = {"name": "theirs", "format": "yolo", "task_type": "detection", "prefix": "p"}
    dataset = Dataset.objects.create(organization=cast.theirs, **data)
    job = job_make(cast, experiment=experiment)
    return SimpleNamespace(project=project, experiment=experiment, dataset=dataset, job=job)


def refused(response: Any, *statuses: int) -> dict[str, Any]:
    assert response.status_code in statuses, response.content
    told: dict[str, Any] = response.json()
    assert response["Content-Type"] == "application/problem+json" and told["request_id"]
    return told


@pytest.mark.parametrize("name", REACHING)
@pytest.mark.parametrize("address", LISTS)
def test_no_list_has_a_filter_that_reaches_through_relations(
    program: Program, cast: SimpleNamespace, address: str, name: str
) -> None:
    address = address.replace("<int:organization_id>", str(cast.organization.pk))
    address = address.replace("<int:project_id>", str(cast.experiment.project_id))
    assert refused(program.get(address, **{name: "a"}), 400)["errors"][0]["field"] == name


def test_every_list_that_there_is_was_asked() -> None:
    """A list that is added later has to be named above."""
    found = {f"/{entry.pattern}" for name, entry in routes() if name.startswith("api:") and name.endswith("-list")}
    known = {address.removeprefix("/api") for address in LISTS}
    assert found - known == set()


def test_another_organizations_ids_in_a_body_are_404(
    program: Program,
    cast: SimpleNamespace,
    theirs: SimpleNamespace,
) -> None:
    ours = job_make(cast)
    before = TrainingJob.objects.count()
    for address, body in [
        (f"{ROOT}/projects", {"name": "new", "organization": cast.theirs.pk}),
        (f"{ROOT}/experiments", {"name": "new", "project": theirs.project.pk}),
        (JOBS, wanted(cast, dataset=theirs.dataset.pk)),
        (JOBS, wanted(cast, experiment=theirs.experiment.pk)),
        (f"{JOBS}/{ours.pk}/clone", {"experiment": theirs.experiment.pk}),
        (f"{JOBS}/{ours.pk}/clone", {"dataset": theirs.dataset.pk}),
        (f"{JOBS}/{theirs.job.pk}/clone", {}),
    ]:
        refused(program.post(address, body), 404)
    assert TrainingJob.objects.count() == before and not Project.objects.filter(name="new").exists()


def test_filters_by_another_organizations_ids_find_nothing(
    program: Program,
    theirs: SimpleNamespace,
) -> None:
    for query in ({"project": theirs.project.pk}, {"experiment": theirs.experiment.pk}, {"name": "theirs"}):
        assert program.get(JOBS, **query).json()["items"] == []
    assert program.get(f"{ROOT}/experiments", project=theirs.project.pk).json()["items"] == []


@pytest.mark.parametrize("number", HUGE)
def test_no_number_breaks_an_address_a_parameter_or_a_body(
    program: Program, cast: SimpleNamespace, number: int
) -> None:
    refused(program.get(f"{JOBS}/{number}"), 404)
    refused(program.get(f"{ROOT}/datasets/{number}/pictures/{abs(number)}"), 404)
    refused(program.get(JOBS, project=number), 400)
    refused(program.get(JOBS, limit=number), 400)
    refused(program.post(JOBS, wanted(cast, experiment=number)), 422)
    refused(program.post(JOBS, wanted(cast, config={"epochs": number})), 422)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1" * 5000])
def test_a_number_that_is_none_is_refused(program: Program, cast: SimpleNamespace, number: str) -> None:
    body = json.dumps(wanted(cast)).removesuffix("}") + f', "config": {{"learning_rate": {number}}}}}'
    refused(program.post(JOBS, body), 400, 422)
    refused(program.get(JOBS, project=number), 400)


@pytest.mark.parametrize(("noun", "body"), POSTS)
@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(b'{"name": "\xff\xfe"}', id="not UTF-8"),
        pytest.param(b'{"name": "\\ud800"}', id="a lone surrogate"),
        pytest.param(b'{"name": "\\u0000"}', id="NUL"),
        pytest.param(b"[" * 100_000, id="deep lists"),
        pytest.param(b'{"a":' * 50_000, id="deep objects"),
        pytest.param(b'{"name": "x"', id="cut off"),
    ],
)
def test_a_text_that_does_harm_is_400(program: Program, noun: str, body: dict[str, Any], harm: bytes) -> None:
    refused(program.post(f"{ROOT}/{noun}", harm), 400)


@pytest.mark.parametrize(("noun", "body"), POSTS)
def test_a_name_of_a_megabyte_is_refused(program: Program, noun: str, body: dict[str, Any]) -> None:
    told = refused(program.post(f"{ROOT}/{noun}", body | {"name": "x" * 1_000_000}), 422)
    assert "name" in {error["field"] for error in told["errors"]} and len(json.dumps(told)) < 5000


@pytest.mark.parametrize("formula", ["=cmd()", "+1+2", "-1+2", "@SUM(A1)", "\t=1"])
@pytest.mark.parametrize("layout", ["long", "wide"])
def test_a_metric_that_is_called_as_a_formula_is_text_in_a_table(
    program: Program,
    job: TrainingJob,
    formula: str,
    layout: str,
) -> None:
    tell(job, named(formula, 1.0))
    response = program.get(f"{JOBS}/{job.pk}/metrics/table", format="csv", layout=layout)
    text = b"".join(response).decode()
    assert f"'{formula}" in text and not any(cell.startswith(formula) for cell in text.replace("\n", ",").split(","))


def test_markup_in_a_name_stays_text(program: Program, cast: SimpleNamespace) -> None:
    name = "<script>alert(1)</script> 병 " + "x" * 80
    response = program.post(f"{ROOT}/projects", {"name": name})
    assert response.json()["name"] == name and response["Content-Type"].startswith("application/json")
    assert response["X-Content-Type-Options"] == "nosniff"
