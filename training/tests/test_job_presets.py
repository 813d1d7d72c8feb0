"""Presets, documents and clones: the same job in other words, kept under a name, or made again with a difference."""

import json
import re
import shlex
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from training.datasets.services import dataset_import
from training.jobs.document import document_read, document_write
from training.jobs.presets import preset_save
from training.models import Dataset, JobPreset, Membership, Project, Role, TrainingJob
from training.projects.services import project_archive
from training.tests.conftest import job_make, person
from training.tests.datasets_folder import folder_write
from training.tests.test_pages import EVIL, browser, text_of
from training.tests.test_pages_new_job import NEW, error_at, filled
from training.trainers import trainers_all

pytestmark = pytest.mark.django_db
DESCRIBED = "/api/v1/training/jobs/described"


@pytest.fixture
def dataset(cast: SimpleNamespace, tmp_path: Path) -> Dataset:
    return dataset_import(cast.organization, "pets", folder_write(tmp_path / "pets"), cast.owner)


def shown(page: str, kind: str) -> str:
    found = re.search(rf'id="job-{kind}-text">(.*?)</code>', page, re.DOTALL)
    assert found
    return unescape(found[1])


def keep(cast: SimpleNamespace, name: str = "night", **config: Any) -> JobPreset:
    return preset_save(cast.organization, "ultralytics", "detection", name, config, cast.owner)


@pytest.mark.parametrize("trainer", sorted(trainers_all()))
def test_every_preset_of_a_manifest_fits_its_schema(trainer: str) -> None:
    manifest = trainers_all()[trainer]
    for preset in manifest.presets:
        assert manifest.config_clean(preset.settings) and set(preset.tasks) <= set(manifest.tasks) and preset.help


def test_the_three_of_the_trainer_are_offered_and_one_fills_the_form(cast: SimpleNamespace, dataset: Dataset) -> None:
    owner = browser(cast.owner)
    page = text_of(owner, NEW)
    assert all(f'value="builtin:{name}"' in page for name in ("quick try", "balanced", "accurate"))
    page = owner.get(NEW, filled(dataset, set_epochs="77", preset="builtin:accurate", apply="1")).content.decode()
    assert 'name="set-epochs" value="300"' in page and 'name="set-imgsz" value="960"' in page
    assert 'value="builtin:accurate" selected' in page


def test_settings_are_kept_chosen_updated_and_forgotten(cast: SimpleNamespace, dataset: Dataset) -> None:
    owner = browser(cast.owner)
    place = owner.post("/jobs/presets/", filled(dataset, set_epochs="7", set_seed="5", preset_name="야간"))["Location"]
    kept = JobPreset.objects.get()
    assert kept.config == {"epochs": 7, "seed": 5} and kept.name == "야간" and kept.created_by == cast.owner
    page = text_of(owner, place)
    assert 'name="set-epochs" value="7"' in page and "야간" in page and "csrf" not in place
    owner.post(f"/jobs/presets/{kept.pk}/", filled(dataset, set_epochs="9"))
    page = owner.get(NEW, filled(dataset, preset=str(kept.pk), apply="1")).content.decode()
    assert 'name="set-epochs" value="9"' in page and 'name="set-seed" value="0"' in page
    owner.post(f"/jobs/presets/{kept.pk}/delete/", filled(dataset))
    assert not JobPreset.objects.exists()


@pytest.mark.parametrize("name", ["", "x" * 81, "taken"])
def test_a_preset_name_that_cannot_be_kept_is_refused_at_its_field(
    cast: SimpleNamespace, dataset: Dataset, name: str
) -> None:
    keep(cast, "taken", epochs=3)
    response = browser(cast.owner).post("/jobs/presets/", filled(dataset, set_epochs="7", preset_name=name))
    page = response.content.decode()
    assert response.status_code == 422 and error_at(page, "preset_name") and 'name="set-epochs" value="7"' in page
    assert JobPreset.objects.count() == 1


def test_wrong_settings_are_not_kept_and_said_at_their_field(cast: SimpleNamespace, dataset: Dataset) -> None:
    response = browser(cast.owner).post("/jobs/presets/", filled(dataset, set_epochs="0", preset_name="x"))
    assert response.status_code == 422 and "at least 1" in error_at(response.content.decode(), "set-epochs")


def test_a_preset_with_html_in_its_name_is_shown_as_text(cast: SimpleNamespace, dataset: Dataset) -> None:
    preset = keep(cast, EVIL, epochs=3)
    page = browser(cast.owner).get(NEW, filled(dataset, preset=str(preset.pk), apply="1")).content.decode()
    assert "<img" not in page and "&lt;img" in page


def test_advanced_settings_of_a_preset_need_the_role_for_them(cast: SimpleNamespace, dataset: Dataset) -> None:
    preset = keep(cast, "night", epochs=3, mosaic=0.5)
    engineer = browser(person("engineer", cast.organization, Role.STANDARD_ENGINEER))
    said = filled(dataset, preset=str(preset.pk), apply="1")
    page = engineer.get(NEW, said).content.decode()
    assert 'name="set-epochs" value="3"' in page and "set-mosaic" not in page and "Not applied" in page


def test_another_organizations_presets_are_not_offered(cast: SimpleNamespace, dataset: Dataset) -> None:
    preset = preset_save(cast.theirs, "ultralytics", "detection", "a hidden name", {"epochs": 3}, cast.stranger)
    page = browser(cast.owner).get(NEW, filled(dataset, preset=str(preset.pk), apply="1")).content.decode()
    assert "a hidden name" not in page and 'name="set-epochs" value="3"' not in page


def test_yaml_curl_and_command_make_the_job_that_the_form_makes(cast: SimpleNamespace, dataset: Dataset) -> None:
    owner = browser(cast.owner)
    said = filled(dataset, set_epochs="3", set_learning_rate="0.00001", set_mosaic="0.5", name="'병' $(x) \"<b>\": #1")
    page = owner.get(NEW, said).content.decode()
    curl = shlex.split(shown(page, "curl").replace("\\\n", " "))
    assert "$TRAINING_API_KEY" in shown(page, "curl") and "vtk_" not in page
    document = document_read(shown(page, "yaml"))
    assert json.loads(curl[curl.index("--data") + 1]) == document
    owner.post(NEW, said)
    assert owner.post(DESCRIBED, json.dumps(document), content_type="application/json").status_code == 201
    one, other = TrainingJob.objects.order_by("pk")
    for name in ("config", "name", "experiment", "dataset", "model_name", "trainer", "task_type", "snapshot"):
        assert getattr(one, name) == getattr(other, name), name


def test_a_document_fills_the_form(cast: SimpleNamespace, dataset: Dataset) -> None:
    text = "project: 캔\ntrainer: ultralytics\ndataset: pets\nmodel: yolo26n.yaml\nsettings: {epochs: 12, amp: false}\n"
    owner = browser(cast.owner)
    page = owner.post("/jobs/new/yaml/", {"yaml": text}).content.decode()
    assert 'value="캔"' in page and 'name="set-epochs" value="12"' in page and not TrainingJob.objects.exists()
    document = yaml.safe_load(shown(page, "yaml"))
    assert document["model"] == "yolo26n.yaml" and document["settings"]["amp"] is False
    file = SimpleUploadedFile("job.yaml", text.encode(), "text/yaml")
    assert 'name="set-epochs" value="12"' in owner.post("/jobs/new/yaml/", {"file": file}).content.decode()


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ("settings: {epochs: 0}", "set-epochs", "at least 1"),
        ("settings: {epochs: many}", "set-epochs", "whole number"),
        ("settings: {optimizer: magic}", "set-optimizer", "valid choice"),
        ("dataset: nothing", "dataset", "no dataset nothing"),
        ("model: yolo99.yaml", "weights", "is unknown"),
        ("project: ''", "project", "required"),
    ],
)
def test_what_is_wrong_in_a_document_is_said_at_its_field(
    cast: SimpleNamespace, dataset: Dataset, change: str, field: str, said: str
) -> None:
    document = {"project": "Bottles", "trainer": "ultralytics", "dataset": "pets", "model": "yolo11n.yaml"}
    text = document_write(document | yaml.safe_load(change))
    response = browser(cast.owner).post("/jobs/new/yaml/", {"yaml": text})
    assert response.status_code == 422 and said in error_at(response.content.decode(), field)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1", "Line"),
        ("- 1", "must have keys"),
        ("projekt: x", "there is no such key"),
        ("name: 2020-01-01", "must be text"),
        ("settings: [1]", "names and values"),
        ("settings: {epochs: [1]}", "one value"),
        ("a: &a [x]\nb: *a", "not valid YAML"),
        ("!!python/object/apply:os.system [ls]", "not valid YAML"),
        ("[" * 5000, "not valid YAML"),
        ("x" * 70_000, "64 KiB"),
    ],
)
def test_a_document_that_is_none_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        document_read(text)
    assert said in " ".join(refused.value.messages)


@pytest.mark.parametrize("text", ["", "   ", "a: [1", "organization: theirs\nproject: x\ntrainer: y\nmodel: z"])
def test_the_page_of_documents_says_what_is_wrong(cast: SimpleNamespace, text: str) -> None:
    response = browser(cast.owner).post("/jobs/new/yaml/", {"yaml": text})
    assert response.status_code == 422 and "errorlist" in response.content.decode()


def test_a_file_that_is_no_text_is_refused(cast: SimpleNamespace) -> None:
    file = SimpleUploadedFile("x.yaml", b"\xff\xfe\x00\x01")
    response = browser(cast.owner).post("/jobs/new/yaml/", {"file": file})
    assert response.status_code == 422 and "not a text in UTF-8" in response.content.decode()


def test_a_document_with_advanced_settings_needs_the_role(cast: SimpleNamespace, dataset: Dataset) -> None:
    engineer = browser(person("engineer", cast.organization, Role.STANDARD_ENGINEER))
    document = {"project": "Bottles", "trainer": "ultralytics", "dataset": "pets", "model": "yolo11n.yaml"}
    document |= {"settings": {"mosaic": 0.5}}
    page = engineer.post("/jobs/new/yaml/", {"yaml": document_write(document)}).content.decode()
    assert "mosaic: to change it takes the role" in page
    assert engineer.post(DESCRIBED, json.dumps(document), content_type="application/json").status_code == 403


def test_a_clone_marks_what_differs_and_remembers_its_parent(cast: SimpleNamespace, dataset: Dataset) -> None:
    owner = browser(cast.owner)
    owner.post(NEW, filled(dataset, set_epochs="7"))
    parent = TrainingJob.objects.get()
    said = filled(dataset, set_epochs="9") | {"from": parent.pk}
    page = owner.get(NEW, said).content.decode()
    assert "was 7" in page and f"Differs from #{parent.pk}" in page and f'name="from" value="{parent.pk}"' in page
    place = owner.post(NEW, said)["Location"]
    assert TrainingJob.objects.latest("pk").parent == parent
    assert "Cloned from" in (page := text_of(owner, place)) and "<td>7</td><td><strong>9</strong></td>" in page


def test_a_parent_of_another_organization_is_neither_copied_nor_shown(cast: SimpleNamespace, dataset: Dataset) -> None:
    Membership.objects.create(user=cast.owner, organization=cast.theirs, role=Role.MANAGER)
    project = Project.objects.create(organization=cast.theirs, name="Secret")
    hidden = job_make(cast, experiment=project.experiments.create(name="x"), name="a hidden name")
    job = job_make(cast, parent=hidden)
    assert "a hidden name" not in text_of(browser(cast.teammate), f"/jobs/{job.pk}/")
    assert "a hidden name" in text_of(browser(cast.owner), f"/jobs/{job.pk}/")


def test_a_trainer_without_data_asks_for_none(cast: SimpleNamespace) -> None:
    owner = browser(cast.owner)
    page = text_of(owner, f"{NEW}?trainer=example&organization={cast.organization.pk}")
    assert "trains on no dataset" in page and 'name="dataset"' not in page and '<option value="halving"' in page
    said = {"trainer": "example", "settings_of": "example", "model": "halving", "set-epochs": "2"}
    said |= {"project": "Bottles", "experiment": "First", "key": "k"}
    assert owner.post(NEW, said)["Location"].startswith("/jobs/")
    job = TrainingJob.objects.get()
    assert job.dataset is None and job.snapshot is None and job.config == {"epochs": 2}
    command = shlex.split(shown(owner.get(NEW, said).content.decode(), "command").replace("\\\n", " "))[3:]
    call_command("train", *command)
    assert TrainingJob.objects.latest("pk").config == job.config


def test_train_says_which_dataset_where_two_organizations_have_the_name(
    cast: SimpleNamespace, dataset: Dataset, tmp_path: Path
) -> None:
    Membership.objects.create(user=cast.owner, organization=cast.theirs, role=Role.MANAGER)
    theirs = dataset_import(cast.theirs, "pets", tmp_path / "pets", None)
    options = ["--user", "owner", "--project", "Bottles"]
    with pytest.raises(CommandError, match="ours/pets, theirs/pets"):
        call_command("train", "pets", *options)
    call_command("train", "theirs/pets", *options)
    call_command("train", "pets", "--organization", "ours", *options)
    assert [job.dataset for job in TrainingJob.objects.order_by("pk")] == [theirs, dataset]


def test_only_managers_make_projects_by_naming_them(cast: SimpleNamespace, dataset: Dataset) -> None:
    engineer = browser(person("engineer", cast.organization, Role.ADVANCED_ENGINEER))
    response = engineer.post(NEW, filled(dataset, project="A new one"))
    assert response.status_code == 422 and "made by managers" in error_at(response.content.decode(), "project")
    assert engineer.post(NEW, filled(dataset, experiment="A new one")).status_code == 302


def test_an_archived_project_takes_no_jobs(cast: SimpleNamespace, dataset: Dataset) -> None:
    project_archive(cast.experiment.project, True)
    response = browser(cast.owner).post(NEW, filled(dataset))
    assert response.status_code == 422 and "is archived" in error_at(response.content.decode(), "project")


def test_the_form_with_presets_and_a_parent_needs_few_queries(cast: SimpleNamespace, dataset: Dataset) -> None:
    for number in range(20):
        keep(cast, f"p{number}", epochs=number + 1)
    job, owner = job_make(cast, dataset=dataset), browser(cast.owner)
    child = job_make(cast, dataset=dataset, parent=job)
    for place in (f"{NEW}?from={job.pk}", f"/jobs/{child.pk}/", "/jobs/new/yaml/"):
        with CaptureQueriesContext(connection) as queries:
            text_of(owner, place)
        assert len(queries) <= 25


def test_rest_keeps_changes_and_forgets_presets(cast: SimpleNamespace) -> None:
    owner, place = browser(cast.owner), "/api/v1/training/presets"
    body = {"organization": cast.organization.pk, "trainer": "ultralytics", "task_type": "detection", "name": "night"}
    made = owner.post(place, body | {"settings": {"epochs": 9, "imgsz": 640}}, content_type="application/json").json()
    assert made["settings"] == {"epochs": 9}
    again = owner.post(place, body | {"settings": {}}, content_type="application/json")
    assert again.status_code == 422 and again.json()["errors"][0]["field"] == "preset_name"
    wrong = owner.patch(f"{place}/{made['id']}", {"settings": {"epochs": 0}}, content_type="application/json")
    assert wrong.status_code == 422 and wrong.json()["errors"][0]["field"] == "epochs"
    assert owner.delete(f"{place}/{made['id']}").status_code == 204 and not JobPreset.objects.exists()


def test_a_repeated_document_with_one_key_is_one_job(cast: SimpleNamespace) -> None:
    body = {"project": "Bottles", "trainer": "example", "model": "halving"}
    ask = {"content_type": "application/json", "headers": {"Idempotency-Key": "once"}}
    ids = {browser(cast.owner).post(DESCRIBED, body, **ask).json()["id"] for _ in range(2)}
    assert len(ids) == 1
