"""The page on which a job is made: from nothing, from another job, twice by accident, and by those who may not."""

import re
import shlex
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from training.datasets.services import dataset_import
from training.models import Dataset, Experiment, ImportedRun, JobState, Membership, Project, Role, TrainingJob
from training.tests.conftest import job_make, person
from training.tests.datasets_folder import folder_write
from training.tests.test_pages import EVIL, browser, text_of

pytestmark = pytest.mark.django_db
NEW = "/jobs/new/"
KOREAN = "병 검사 데이터"


@pytest.fixture
def dataset(cast: SimpleNamespace, tmp_path: Path) -> Dataset:
    return dataset_import(cast.organization, "pets", folder_write(tmp_path / "pets"), cast.owner)


def filled(dataset: Dataset, **values: Any) -> dict[str, Any]:
    """What a browser sends of a form that is filled in; `set_epochs` is the setting `epochs`."""
    form = {"dataset": dataset.pk, "trainer": "ultralytics", "settings_of": "ultralytics", "model": "yolo11n.yaml"}
    form |= {"project": "Bottles", "experiment": "First", "name": "", "key": "k" * 32}
    form |= {"set-optimizer": "auto", "set-amp": "on", "set-plots": "on"}
    return form | {re.sub("^set_", "set-", name): value for name, value in values.items()}


def error_at(page: str, field: str) -> str:
    found = re.search(rf'<ul class="errorlist" id="job-{field}_error">(.*?)</ul>', page)
    return unescape(re.sub("<.*?>", "", found[1])) if found else ""


def shown_command(page: str) -> list[str]:
    found = re.search(r'id="job-command-text">(.*?)</code>', page, re.DOTALL)
    assert found
    return shlex.split(unescape(found[1]).replace("\\\n", " "))[3:]  # as a shell joins lines


def test_the_form_makes_a_queued_job(cast: SimpleNamespace, dataset: Dataset) -> None:
    said = filled(dataset, set_epochs="7", set_learning_rate="0.002", set_mosaic="0.5", name="Mine")
    response = browser(cast.owner).post(NEW, said)
    job = TrainingJob.objects.get()
    assert response["Location"] == f"/jobs/{job.pk}/" and job.state == JobState.QUEUED and job.name == "Mine"
    assert job.config["epochs"] == 7 and job.config["learning_rate"] == 0.002 and job.config["mosaic"] == 0.5
    assert job.config["amp"] is True and job.config["cos_lr"] is False and job.config["batch_size"] == 16
    assert job.experiment == cast.experiment and job.snapshot is not None and job.created_by == cast.owner


def test_new_names_make_a_project_and_an_experiment(cast: SimpleNamespace, dataset: Dataset) -> None:
    browser(cast.owner).post(NEW, filled(dataset, project=KOREAN, experiment="둘째"))
    assert str(TrainingJob.objects.get().experiment.project) == KOREAN
    assert Experiment.objects.get(name="둘째").project.organization == cast.organization


def test_a_form_sent_twice_makes_one_job(cast: SimpleNamespace, dataset: Dataset) -> None:
    owner, said = browser(cast.owner), filled(dataset)
    assert owner.post(NEW, said)["Location"] == owner.post(NEW, said)["Location"]
    assert TrainingJob.objects.count() == 1


def test_a_form_changed_after_going_back_makes_another_job(cast: SimpleNamespace, dataset: Dataset) -> None:
    owner = browser(cast.owner)
    owner.post(NEW, filled(dataset))
    owner.post(NEW, filled(dataset, set_epochs="3"))
    assert TrainingJob.objects.count() == 2


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("set-epochs", "0", "Must be at least 1."),
        ("set-epochs", "many", "Enter a whole number."),
        ("set-epochs", "9" * 5000, "Enter a whole number."),
        ("set-learning_rate", "nan", "Enter a number."),
        ("set-learning_rate", "1e999", "Enter a number."),
        ("set-mosaic", "2", "Must be at most 1."),
        ("set-optimizer", "magic", "Select a valid choice."),
        ("model", "yolo99.yaml", "Select a valid choice."),
        ("weights", "/etc/passwd", "/etc/passwd is unknown"),
        ("trainer", "nobody", "Select a valid choice."),
        ("dataset", "", "Choose a dataset: Ultralytics YOLO trains on one."),
        ("time_limit_hours", "0", "Must be above 0 and below a million."),
        ("memory_limit_gb", "much", "Enter a number."),
        ("priority", "urgent", "Select a valid choice."),
        ("project", "", "This field is required."),
        ("project", "x" * 300, "at most 120 characters"),
        ("name", "x" * 300, "at most 200 characters"),
        ("experiment", "a\x00b", "Null characters"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    cast: SimpleNamespace, dataset: Dataset, field: str, value: str, said: str
) -> None:
    response = browser(cast.owner).post(NEW, filled(dataset, set_patience="12") | {field: value})
    page = response.content.decode()
    assert response.status_code == 422 and said in error_at(page, field) and f'<a href="#job-{field}">' in page
    assert 'name="set-patience" value="12"' in page and not TrainingJob.objects.exists()


def test_a_refused_form_leaves_no_project_behind(cast: SimpleNamespace, dataset: Dataset) -> None:
    browser(cast.owner).post(NEW, filled(dataset, project="Only tried", set_epochs="0"))
    assert not Project.objects.filter(name="Only tried").exists()


def test_a_group_that_holds_an_error_is_open(cast: SimpleNamespace, dataset: Dataset) -> None:
    owner = browser(cast.owner)
    assert "<details open>" not in text_of(owner, NEW)
    page = owner.post(NEW, filled(dataset, set_mosaic="2")).content.decode()
    opened = page.split("<details open>")[1].split("</details>")[0]
    assert "Augmentation" in opened and "needs a look" in opened and page.count("<details open>") == 1


def test_data_that_are_gone_are_said_at_the_dataset(cast: SimpleNamespace, dataset: Dataset) -> None:
    Dataset.objects.update(prefix="datasets/gone")
    page = browser(cast.owner).post(NEW, filled(dataset)).content.decode()
    assert "no longer in the external store" in error_at(page, "dataset")


def test_the_form_offers_what_the_trainers_schema_says(cast: SimpleNamespace, dataset: Dataset) -> None:
    page = text_of(browser(cast.owner), NEW)
    assert 'value="100"' in page and "From 1 to 10000." in page and "Halve it when memory runs out." in page
    assert '<option value="AdamW">' in page and '<option value="yolo11n.yaml"' in page
    assert "pets: detection, 2 classes, 4 images" in page and "<li>cat</li>" in page


def test_another_trainer_is_shown_by_get_with_its_own_settings(cast: SimpleNamespace, dataset: Dataset) -> None:
    said = filled(dataset, trainer="example", set_epochs="77", name="Kept")
    page = unescape(Client.get(browser(cast.owner), NEW, said).content.decode())
    assert '<option value="halving" selected' in page or '<option value="halving"' in page
    assert 'value="Kept"' in page and 'name="set-epochs" value="5"' in page and "set-mosaic" not in page


def test_a_fragment_keeps_what_was_typed(cast: SimpleNamespace, dataset: Dataset) -> None:
    said = filled(dataset, set_epochs="77")
    del said["set-amp"]
    page = browser(cast.owner).get(NEW, said, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in page and 'name="set-epochs" value="77"' in page
    assert {"epochs=77", "amp=false"} <= set(shown_command(page)) and f'value="{"k" * 32}"' in page


def test_the_command_makes_the_same_job(cast: SimpleNamespace, dataset: Dataset) -> None:
    said = filled(dataset, set_epochs="3", set_device="0", set_learning_rate="0.00001", name=f"-{KOREAN}'s $(x)")
    owner = browser(cast.owner)
    command = shown_command(owner.get(NEW, said).content.decode())
    owner.post(NEW, said)
    call_command("train", *command)
    one, other = TrainingJob.objects.order_by("pk")
    assert one.config == other.config and one.config["device"] == "0" and one.name == other.name
    assert (one.experiment, one.model_name, one.dataset) == (other.experiment, other.model_name, other.dataset)


def test_a_clone_has_everything_and_a_name_of_its_own(cast: SimpleNamespace, dataset: Dataset) -> None:
    owner = browser(cast.owner)
    owner.post(NEW, filled(dataset, set_epochs="7", set_seed="5", model="yolo26n.yaml", name="Mine", project="Cans"))
    job = TrainingJob.objects.get()
    page = text_of(owner, f"{NEW}?from={job.pk}")
    assert 'value="Mine (copy)"' in page and 'value="Cans"' in page and 'name="set-seed" value="5"' in page
    assert {"epochs=7", "seed=5", "yolo26n.yaml"} <= set(shown_command(page))


@pytest.mark.parametrize("query", ["from={job}", "dataset={dataset}", "organization={organization}", "from=x"])
def test_what_belongs_to_another_organization_is_not_found(cast: SimpleNamespace, dataset: Dataset, query: str) -> None:
    ids = {"job": job_make(cast).pk, "dataset": dataset.pk, "organization": cast.organization.pk}
    assert browser(cast.stranger).get(f"{NEW}?{query.format(**ids)}").status_code == 404


def test_another_organizations_data_in_a_body_are_not_found(cast: SimpleNamespace, dataset: Dataset) -> None:
    stranger = browser(cast.stranger)
    assert stranger.post(NEW, filled(dataset)).status_code == 404
    assert stranger.post(NEW, {"organization": cast.organization.pk}).status_code == 404
    assert not TrainingJob.objects.exists()


def test_a_guest_may_not_make_jobs(cast: SimpleNamespace, dataset: Dataset) -> None:
    guest = browser(cast.teammate)
    assert guest.get(NEW).status_code == 403 and guest.post(NEW, filled(dataset)).status_code == 403
    assert NEW not in text_of(guest, "/jobs/") and not TrainingJob.objects.exists()


def test_nobody_makes_jobs_without_signing_in(client: Client, dataset: Dataset) -> None:
    assert client.post(NEW, filled(dataset))["Location"].startswith("/sign-in/")


def test_a_standard_engineer_gets_the_basic_settings(cast: SimpleNamespace, dataset: Dataset) -> None:
    engineer = browser(person("engineer", cast.organization, Role.STANDARD_ENGINEER))
    page = text_of(engineer, NEW)
    assert "set-epochs" in page and "set-mosaic" not in page and "role of an advanced engineer" in page
    engineer.post(NEW, filled(dataset, set_mosaic="0.5"))
    assert TrainingJob.objects.get().config["mosaic"] == 1.0


def test_who_is_in_two_organizations_chooses_one(cast: SimpleNamespace, dataset: Dataset) -> None:
    Membership.objects.create(user=cast.owner, organization=cast.theirs, role=Role.MANAGER)
    owner = browser(cast.owner)
    assert 'name="organization"' in text_of(owner, NEW)
    page = text_of(owner, f"{NEW}?organization={cast.theirs.pk}")
    assert "No dataset to train on yet" in page and "--organization theirs" in page
    response = owner.post(NEW, filled(dataset, organization=cast.theirs.pk))
    assert response.status_code == 422 and not TrainingJob.objects.exists()


def test_the_form_is_not_sent_without_its_token(cast: SimpleNamespace, dataset: Dataset) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.owner)
    assert client.post(NEW, filled(dataset)).status_code == 403
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)">', text_of(client, NEW).split('id="job-side"')[1])
    assert token and client.post(NEW, filled(dataset) | {"csrfmiddlewaretoken": token[1]}).status_code == 302


def test_names_of_others_do_nothing_in_the_form(cast: SimpleNamespace, dataset: Dataset) -> None:
    Dataset.objects.update(name=EVIL, classes=[EVIL, KOREAN])
    Project.objects.update(name=EVIL)
    job = job_make(cast, name=EVIL, dataset=dataset, model_name=EVIL, config={"device": EVIL})
    page = text_of(browser(cast.owner), f"{NEW}?from={job.pk}")
    assert "<img" not in page and 'hx-get="/evil' not in page and KOREAN in page


def test_the_form_has_no_inline_scripts_or_styles(cast: SimpleNamespace, dataset: Dataset) -> None:
    page = text_of(browser(cast.owner), NEW)
    assert not re.search(r"<script(?![^>]*\bsrc=)", page) and not re.search(r"\s(style|on\w+)=", page)


def test_the_form_needs_few_queries(cast: SimpleNamespace, dataset: Dataset) -> None:
    job, owner = job_make(cast, dataset=dataset), browser(cast.owner)
    for number in range(30):
        Dataset.objects.create(organization=cast.organization, name=f"d{number}", task_type="detection")
    with CaptureQueriesContext(
        connection,
    ) as queries:
        text_of(owner, f"{NEW}?from={job.pk}")
    assert len(queries) <= 25


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED])
def test_a_job_that_failed_is_restarted_by_who_may(cast: SimpleNamespace, state: JobState) -> None:
    job = job_make(cast, state)
    address = f"/jobs/{job.pk}/restart/"
    assert browser(cast.stranger).post(address).status_code == 404
    assert browser(cast.teammate).post(address).status_code == 403
    assert browser(cast.owner).get(address).status_code == 405
    for _ in range(2):  # twice: the second finds it queued, and says so
        assert browser(cast.owner).post(address).status_code == 302
    job.refresh_from_db()
    assert job.state == JobState.QUEUED


def test_a_completed_job_is_not_restarted(cast: SimpleNamespace) -> None:
    job = job_make(cast, JobState.COMPLETED)
    page = browser(cast.owner).post(f"/jobs/{job.pk}/restart/", follow=True).content.decode()
    job.refresh_from_db()
    assert job.state == JobState.COMPLETED and "completed can&#x27;t be restarted" in page


def test_the_actions_follow_role_and_state(cast: SimpleNamespace) -> None:
    failed, done = job_make(cast, JobState.FAILED), job_make(cast, JobState.COMPLETED)
    owner, guest = browser(cast.owner), browser(cast.teammate)
    assert "Restart this job?" in text_of(owner, f"/jobs/{failed.pk}/actions/")
    page = text_of(owner, f"/jobs/{done.pk}/")
    assert "Restart this job?" not in page and f"{NEW}?from={done.pk}" in page
    assert text_of(guest, f"/jobs/{failed.pk}/actions/").strip() == ""


@pytest.fixture
def three_backends(settings: Any) -> None:
    settings.OBSERVABILITY_BACKENDS = ["database", "mlflow", "tensorboard"]


@pytest.mark.usefixtures("three_backends")
def test_all_configured_backends_are_ticked_at_first(cast: SimpleNamespace, dataset: Dataset) -> None:
    page = text_of(browser(cast.owner), NEW)
    assert re.search(r'name="to-mlflow"[^>]* checked', page) and re.search(r'name="to-tensorboard"[^>]* checked', page)
    assert 'id="job-to-database" checked disabled' in page and "--backends" not in shown_command(page)
    assert re.findall(r">\s*([\w ]+)</label>", page[page.index('id="job-to-database"') :])[:3] == [
        *("Database", "MLflow", "TensorBoard")
    ]


@pytest.mark.usefixtures("three_backends")
def test_a_job_is_told_to_the_backends_that_are_ticked(cast: SimpleNamespace, dataset: Dataset) -> None:
    owner, said = browser(cast.owner), filled(dataset) | {"to-tensorboard": "on"}
    command = shown_command(owner.get(NEW, said).content.decode())
    owner.post(NEW, said)
    call_command("train", *command)
    one, other = TrainingJob.objects.order_by("pk")
    assert one.observability_backends == other.observability_backends == ["database", "tensorboard"]


@pytest.mark.usefixtures("three_backends")
def test_a_clone_is_told_to_the_same_backends(cast: SimpleNamespace, dataset: Dataset) -> None:
    job = job_make(cast, dataset=dataset, observability_backends=["database", "mlflow"])
    assert "database,mlflow" in shown_command(text_of(browser(cast.owner), f"{NEW}?from={job.pk}"))


@pytest.mark.usefixtures("three_backends")
def test_no_backend_ticked_leaves_the_database(cast: SimpleNamespace, dataset: Dataset) -> None:
    browser(cast.owner).post(NEW, filled(dataset))
    assert TrainingJob.objects.get().observability_backends == ["database"]


@pytest.mark.usefixtures("three_backends")
def test_a_command_that_names_an_unknown_backend_is_told_the_known_ones(
    cast: SimpleNamespace, dataset: Dataset
) -> None:
    with pytest.raises(CommandError, match=r"comet: not configured; configured are database, mlflow, tensorboard"):
        call_command("train", "pets", "--user", "owner", "--project", "Cans", "--backends", "mlflow,comet")
    assert not TrainingJob.objects.exists()


def test_an_imported_job_suggests_no_place_for_a_new_one(cast: SimpleNamespace, dataset: Dataset) -> None:
    job_make(cast)
    other = Experiment.objects.create(project=cast.experiment.project, name="Imported from MLflow")
    imported = job_make(cast, JobState.COMPLETED, experiment=other)
    ImportedRun.objects.create(organization=cast.organization, source="mlflow", run="1", job=imported)
    assert 'value="First"' in text_of(browser(cast.owner), NEW)


@pytest.mark.usefixtures("three_backends")
def test_a_clone_of_an_imported_job_is_told_to_all(cast: SimpleNamespace, dataset: Dataset) -> None:
    job = job_make(cast, JobState.COMPLETED, observability_backends=["database"])
    ImportedRun.objects.create(organization=cast.organization, source="mlflow", run="1", job=job)
    assert "--backends" not in shown_command(text_of(browser(cast.owner), f"{NEW}?from={job.pk}"))


def test_of_many_datasets_the_newest_are_offered_and_the_others_found(
    cast: SimpleNamespace, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.pages.job_choice.OFFERED", 3)
    same = {"organization": cast.organization, "format": "yolo", "task_type": "detection", "report": {"images": 1200}}
    for number in range(5):
        Dataset.objects.create(name=f"bottles {number}", prefix=f"b{number}", classes=["a"], **same)
    Dataset.objects.create(**same | {"organization": cast.theirs}, name="theirs bottles", prefix="t")
    owner = browser(cast.owner)
    page = owner.get(NEW).content.decode()
    assert re.findall(r"<option[^>]*>(bottles \d)", page) == ["bottles 4", "bottles 3", "bottles 2"]
    assert "The newest 3 of 6" in page and "bottles 4: detection, 1 classes, 1,200 images" in page
    page = owner.get(NEW, {"find": "pet", "dataset": dataset.pk}).content.decode()
    assert "1 with these words" in page and f'<option value="{dataset.pk}" selected>pets' in page
    page = owner.get(NEW, {"find": "theirs", "dataset": dataset.pk}).content.decode()
    assert "No dataset has these words" in page and page.count("<option value") and "theirs bottles" not in page
    assert owner.post(NEW, filled(dataset, find="theirs")).status_code == 302


def test_few_datasets_need_no_search(cast: SimpleNamespace, dataset: Dataset) -> None:
    assert "Find a dataset" not in text_of(browser(cast.owner), NEW)
