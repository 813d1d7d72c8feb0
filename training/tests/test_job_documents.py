"""What a document may say of a job beside its settings, as the command and the form do: weights, limits, priority."""

import shlex
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command

from training.jobs.document import document_read, document_write
from training.models import Checkpoint, Dataset, JobState, PretrainedWeights, Priority, Role, TrainingJob, Worker
from training.tests.conftest import job_make, person
from training.tests.datasets_folder import small_dataset
from training.tests.rest_program import JOBS, Program, wanted
from training.tests.test_job_presets import DESCRIBED, shown
from training.tests.test_pages import browser
from training.tests.test_pages_new_job import NEW, error_at, filled
from training.tests.test_resume import completed
from training.tests.test_weights import weights as weights  # a fixture

pytestmark = pytest.mark.django_db
DATA = "Choose a dataset: Ultralytics YOLO trains on one."
LIMITED = {"priority": "low", "time_limit_hours": 1.5, "memory_limit_gb": 8}


@pytest.fixture
def dataset(cast: SimpleNamespace) -> Dataset:
    return small_dataset(cast)


def document(**more: Any) -> dict[str, Any]:
    said = {"project": "Bottles", "trainer": "ultralytics", "dataset": "small", "model": "yolo11n.yaml"}
    return {name: value for name, value in (said | more).items() if value is not None}


def made() -> TrainingJob:
    return TrainingJob.objects.latest("pk")


def described(program: Program, **more: Any) -> Any:
    """What the API says to the document as YAML would bring it."""
    said = document_read(document_write(document(**more)))
    return program.post(DESCRIBED, {name: value for name, value in said.items() if name != "settings"})


def test_a_document_continues_from_a_jobs_weights(
    program: Program, cast: SimpleNamespace, dataset: Dataset, worker: Worker
) -> None:
    parent, best = completed(cast, worker)
    answer = described(program, parent=parent.pk, model=None)
    assert answer.status_code == 201, answer.content
    assert (made().parent, made().weights_from, made().model_name) == (parent, best, parent.model_name)
    refused = described(program, parent=parent.pk, weights="last")
    assert refused.status_code == 422 and refused.json()["errors"][0]["message"].endswith("has no last checkpoint.")


def test_the_page_of_documents_keeps_the_parents_weights(
    cast: SimpleNamespace, dataset: Dataset, worker: Worker
) -> None:
    parent, best = completed(cast, worker)
    text = document_write(document(parent=parent.pk, weights="best"))
    page = browser(cast.owner).post("/jobs/new/yaml/", {"yaml": text}).content.decode()
    assert f'name="checkpoint" value="{best.pk}"' in page
    again = yaml.safe_load(shown(page, "yaml"))
    assert (again["parent"], again["weights"]) == (parent.pk, "best")


@pytest.mark.parametrize("number", [0, -1, 1.5, True, "12"])
def test_a_parent_that_is_no_number_is_refused(number: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        document_read(document_write(document(parent=number)))
    assert list(refused.value.message_dict) == ["parent"]


def test_another_organizations_parent_is_no_parent(program: Program, cast: SimpleNamespace, dataset: Dataset) -> None:
    from training.models import Experiment, Project

    project = Project.objects.create(organization=cast.theirs, name="Theirs")
    job = job_make(cast, JobState.COMPLETED, experiment=Experiment.objects.create(project=project, name="e"))
    assert not Checkpoint.objects.filter(job=job).exists()
    refused = described(program, parent=job.pk)
    assert refused.status_code == 422 and f"There is no job {job.pk} in ours" in refused.json()["errors"][0]["message"]


def test_a_document_begins_from_kept_weights_everywhere(
    program: Program, cast: SimpleNamespace, dataset: Dataset, weights: PretrainedWeights
) -> None:
    assert described(program, pretrained="mine", model=None).status_code == 201
    assert (made().weights, made().model_name) == (weights, "mine")
    said = {"yaml": document_write(document(pretrained="mine", model=None))}
    page = browser(cast.owner).post("/jobs/new/yaml/", said).content.decode()
    again = yaml.safe_load(shown(page, "yaml"))
    assert again["pretrained"] == "mine" and "model" not in again
    refused = described(program, pretrained="other's")
    assert refused.status_code == 422 and refused.json()["errors"][0]["field"] == "pretrained"


def test_priority_and_limits_are_the_same_by_form_document_and_command(
    program: Program, cast: SimpleNamespace, dataset: Dataset
) -> None:
    owner, said = browser(cast.owner), filled(dataset, priority="low", time_limit_hours="1.5", memory_limit_gb="8")
    page = owner.get(NEW, said).content.decode()
    again = document_read(shown(page, "yaml"))
    assert {name: again[name] for name in LIMITED} == LIMITED
    words = shlex.split(shown(page, "command").replace("\\\n", " "))[3:]
    owner.post(NEW, said)
    call_command("train", *words)
    assert described(program, **LIMITED).status_code == 201
    facts = TrainingJob.objects.values_list("priority", "time_limit_hours", "memory_limit_gb")
    assert list(facts) == [(Priority.LOW, 1.5, 8.0)] * 3
    plain = document_read(shown(owner.get(NEW, filled(dataset)).content.decode(), "yaml"))
    assert not set(plain) & set(LIMITED) and '<option value="normal" selected>' in owner.get(NEW).content.decode()
    filled_again = owner.post("/jobs/new/yaml/", {"yaml": document_write(document(**LIMITED))}).content.decode()
    assert 'value="1.5"' in filled_again and '<option value="low" selected>' in filled_again


def test_a_clone_has_its_limits_and_not_the_high_priority(cast: SimpleNamespace, dataset: Dataset) -> None:
    limits = {"priority": Priority.HIGH, "time_limit_hours": 2.0}
    job = job_make(cast, JobState.COMPLETED, dataset=dataset, **limits)
    page = browser(cast.owner).get(NEW, {"from": job.pk}).content.decode()
    assert '<option value="normal" selected>' in page and 'name="time_limit_hours" value="2"' in page


def test_a_high_priority_is_given_by_managers_alone(cast: SimpleNamespace, dataset: Dataset) -> None:
    engineer = person("engineer", cast.organization, Role.ADVANCED_ENGINEER)
    page = browser(engineer).post(NEW, filled(dataset, priority="high")).content.decode()
    assert "Select a valid choice" in error_at(page, "priority")
    assert described(Program(cast, engineer), priority="high").status_code == 403
    with pytest.raises(CommandError, match="high priority"):
        call_command("train", "small", user="engineer", project="Bottles", priority="high")
    assert not TrainingJob.objects.exists()
    call_command("train", "small", user="owner", project="Bottles", priority="high")
    assert made().priority == Priority.HIGH


@pytest.mark.parametrize("limits", [{"time_limit_hours": 0}, {"memory_limit_gb": -1}, {"priority": "urgent"}])
def test_a_document_with_a_limit_that_is_none_is_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        document_read(document_write(document(**limits)))
    assert list(refused.value.message_dict) == list(limits)


def test_a_job_without_the_data_that_its_trainer_needs_is_refused_in_the_same_words(
    program: Program, cast: SimpleNamespace, dataset: Dataset
) -> None:
    for answer in (program.post(JOBS, wanted(cast, dataset=None)), described(program, dataset=None)):
        assert answer.status_code == 422 and answer.json()["errors"] == [{"field": "dataset", "message": DATA}]
    with pytest.raises(CommandError, match=DATA):
        call_command("train", user="owner", project="Bottles")
    page = browser(cast.owner).post(NEW, filled(dataset) | {"dataset": ""}).content.decode()
    assert error_at(page, "dataset") == DATA and not TrainingJob.objects.exists()


def test_the_command_takes_weights_of_a_job_and_makes_no_project_for_an_engineer(
    cast: SimpleNamespace, dataset: Dataset, worker: Worker
) -> None:
    parent, best = completed(cast, worker)
    person("engineer", cast.organization, Role.STANDARD_ENGINEER)
    asked = {"user": "engineer", "parent": parent.pk, "time_limit_hours": 1.0}
    with pytest.raises(CommandError, match="made by managers"):
        call_command("train", "small", project="A new one", **asked)
    with pytest.raises(CommandError, match="must be above 0"):
        call_command("train", "small", project="Bottles", memory_limit_gb=-1.0, user="engineer")
    call_command("train", "small", project="Bottles", **asked)
    assert (made().weights_from, made().time_limit_hours) == (best, 1.0)
