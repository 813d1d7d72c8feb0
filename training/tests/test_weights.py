"""Pretrained weights: uploaded once in parts, checked without being opened, chosen for a job, handed to its trainer."""

import hashlib
import json
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zipfile import ZipFile, ZipInfo

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from training.datasets.services import dataset_import
from training.execution.launch import environment_make
from training.jobs.attempts import job_claim, token_make
from training.jobs.services import job_create
from training.jobs.validation import job_validate
from training.models import Checkpoint, JobAttempt, JobState, PretrainedWeights, TrainingJob
from training.storage.store import internal_store
from training.tests.conftest import job_make
from training.tests.datasets_folder import folder_write, small_dataset
from training.tests.rest_program import wanted
from training.weights import WeightsInUse, weights_add, weights_begin, weights_delete, weights_finish, weights_sweep

pytestmark = pytest.mark.django_db
API = "/api/v1/training/weights"


def archive(text: str = "weights") -> bytes:
    """A file that looks like PyTorch's from outside, and is never looked into."""
    file = BytesIO()
    with ZipFile(file, "w") as zipped:
        zipped.writestr(ZipInfo("data.pkl"), text * 1000)
    return file.getvalue()


@pytest.fixture
def weights(cast: SimpleNamespace, tmp_path: Path) -> PretrainedWeights:
    path = tmp_path / "mine.pt"
    path.write_bytes(archive())
    return weights_add(cast.owner, cast.organization, path, name="mine", framework="ultralytics", task_type="detection")


def words(content: bytes, **more: Any) -> dict[str, Any]:
    said = {"name": "tiny", "framework": "ultralytics", "task_type": "detection", "filename": "tiny.pt"}
    return said | {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), **more}


def client_of(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def post(client: Client, address: str, body: Any = None) -> Any:
    return client.post(address, json.dumps(body or {}), content_type="application/json")


def put_parts(client: Client, url: str, content: bytes, size: int) -> None:
    for first in range(0, len(content), size):
        part = content[first : first + size]
        headers = {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(content)}"}
        assert client.put(url, part, headers=headers).status_code == 200


def test_an_upload_in_parts_can_be_begun_from(cast: SimpleNamespace) -> None:
    client, content = client_of(cast.owner), archive()
    begun = post(client, API, words(content) | {"organization": cast.organization.pk})
    assert begun.status_code == 201, begun.content
    put_parts(client, begun.json()["upload"]["url"], content, 1000)
    done = post(client, f"{API}/{begun.json()['weights']['id']}/finish")
    assert done.status_code == 200 and done.json()["stored_at"]
    kept = PretrainedWeights.objects.get()
    assert internal_store().get(kept.key) == content
    assert (kept.created_by, kept.sha256) == (cast.owner, hashlib.sha256(content).hexdigest())


def test_the_same_words_go_on_with_the_same_upload(cast: SimpleNamespace) -> None:
    content = archive()
    first = weights_begin(cast.owner, cast.organization, **words(content))
    assert weights_begin(cast.owner, cast.organization, **words(content)).pk == first.pk
    other = weights_begin(cast.owner, cast.organization, **words(content + b"x"))
    assert list(PretrainedWeights.objects.values_list("pk", flat=True)) == [other.pk]
    with pytest.raises(ValidationError, match="already weights called tiny"):
        weights_begin(cast.teammate, cast.organization, **words(content))


def test_what_has_not_arrived_can_not_be_begun_from(cast: SimpleNamespace) -> None:
    row = weights_begin(cast.owner, cast.organization, **words(archive()))
    with pytest.raises(ValidationError, match="not arrived whole"):
        weights_finish(row)
    with pytest.raises(ValidationError, match="is not finished"):
        make_job(cast, weights=row)


@pytest.mark.parametrize("content", [b"\x80\x02c__builtin__\neval\n(S'1'\ntR.", b"hello", b"<html>"])
def test_a_bare_pickle_or_anything_else_is_refused_unread(cast: SimpleNamespace, content: bytes) -> None:
    row = weights_begin(cast.owner, cast.organization, **words(content))
    internal_store().put(row.key, content)
    with pytest.raises(ValidationError, match="no file of weights"):
        weights_finish(row)
    assert not PretrainedWeights.objects.exists()


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"name": " "}, "name"),
        ({"framework": "papyrus"}, "framework"),
        ({"task_type": "juggling"}, "framework"),
        ({"filename": "a.exe"}, "file"),
        ({"size": 2**60}, "file"),
        ({"sha256": "x" * 64}, "sha256"),
    ],
)
def test_words_that_make_no_sense_are_named(cast: SimpleNamespace, more: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        weights_begin(cast.owner, cast.organization, **words(archive(), **more))
    assert list(refused.value.message_dict) == [field]


def make_job(cast: SimpleNamespace, **more: Any) -> TrainingJob:
    said = {"trainer": "ultralytics", "model_name": "", "config": {"device": "cpu"}, "dataset": small_dataset(cast)}
    return job_create(user=cast.owner, experiment=cast.experiment, **(said | more))


def test_a_job_begins_from_weights_and_its_trainer_is_told(cast, weights, worker) -> None:
    job = make_job(cast, weights=weights)
    assert (job.model_name, job.task_type, job.weights) == ("mine", "detection", weights)
    job_validate(job)
    attempt = job_claim(job.pk, worker)
    assert attempt is not None
    environment = environment_make(attempt)
    assert environment["WEIGHTS_SHA256"] == weights.sha256
    said = {"get": [environment["WEIGHTS_CHECKPOINT"]]}
    door = f"/api/v1/training/jobs/{job.pk}/callback/urls"
    headers = {"Authorization": f"Bearer {token_make(job.pk, 1)}"}
    answer = Client().post(door, json.dumps(said), content_type="application/json", headers=headers)
    url = answer.json()["get"][environment["WEIGHTS_CHECKPOINT"]]
    assert b"".join(Client().get(url)) == archive()
    other = Client().post(door, '{"get": ["weights/999.pt"]}', content_type="application/json", headers=headers)
    assert other.status_code == 404


def test_a_resumed_job_is_given_its_checkpoint_and_not_the_weights_it_began_from(cast, weights, worker) -> None:
    job = make_job(cast, weights=weights)
    job_validate(job)
    attempt = job_claim(job.pk, worker)
    assert attempt is not None
    attempt.resumed_from = best_of(job, attempt, archive("later"))
    given = environment_make(attempt)
    assert given["RESUME_CHECKPOINT"] == "checkpoint/resume.pt" and "WEIGHTS_CHECKPOINT" not in given


def test_kept_weights_and_another_jobs_weights_at_once_are_refused(cast, weights, worker) -> None:
    parent, best = trained(cast, weights, worker)
    with pytest.raises(ValidationError, match="not from both") as refused:
        make_job(cast, weights=weights, weights_from=best)
    assert list(refused.value.message_dict) == ["pretrained"]
    body = wanted(cast, pretrained=weights.pk, model_name="", parent=parent.pk)
    answer = post(client_of(cast.owner), "/api/v1/training/jobs", body)
    assert answer.status_code == 422 and "not from both" in answer.json()["errors"][0]["message"]


def test_a_job_that_began_from_weights_is_continued_from_what_it_made_of_them(cast, weights, worker, tmp_path) -> None:
    dataset = dataset_import(cast.organization, "pets", folder_write(tmp_path / "pets"), cast.owner)
    parent, best = trained(cast, weights, worker)
    TrainingJob.objects.update(dataset=dataset)
    page = client_of(cast.owner).get("/jobs/new/", {"from": parent.pk, "continue": "best"}).content.decode()
    assert f'name="checkpoint" value="{best.pk}"' in page
    assert "selected>mine</option>" not in page
    child = make_job(cast, weights_from=best)
    job_validate(child)
    child.refresh_from_db()
    assert (child.weights, child.model_name, child.state) == (None, "mine", JobState.QUEUED), child.error_message


def trained(cast, weights, worker) -> tuple[TrainingJob, Checkpoint]:
    """A completed job that began from weights, and its best checkpoint."""
    job = make_job(cast, weights=weights)
    job_validate(job)
    attempt = job_claim(job.pk, worker)
    assert attempt is not None
    best = best_of(job, attempt, archive("trained"))
    TrainingJob.objects.filter(pk=job.pk).update(state=JobState.COMPLETED)
    job.refresh_from_db()
    return job, best


def best_of(job: TrainingJob, attempt: JobAttempt, content: bytes) -> Checkpoint:
    key = f"jobs/{job.pk}/attempts/1/checkpoints/best-1.pt"
    internal_store().put(key, content)
    said = {"key": key, "size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "epoch": 2}
    return Checkpoint.objects.create(job=job, attempt=attempt, kind="best", **said)


def test_weights_of_another_task_or_organization_are_refused(cast: SimpleNamespace, weights: PretrainedWeights) -> None:
    with pytest.raises(ValidationError, match="is for ultralytics and detection, not ultralytics and pose"):
        make_job(cast, weights=weights, task_type="pose")
    PretrainedWeights.objects.update(organization=cast.theirs)
    weights.refresh_from_db()
    with pytest.raises(ValidationError, match="no such weights"):
        make_job(cast, weights=weights)


def test_weights_from_which_a_job_began_are_kept(cast: SimpleNamespace, weights: PretrainedWeights) -> None:
    job = make_job(cast, weights=weights)
    with pytest.raises(WeightsInUse, match="a job began from it"):
        weights_delete(weights)
    job.delete()
    weights_delete(PretrainedWeights.objects.get())
    assert not PretrainedWeights.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_file_goes_with_its_weights(cast: SimpleNamespace, weights: PretrainedWeights) -> None:
    client = client_of(cast.owner)
    assert client.post(f"/weights/{weights.pk}/delete/").status_code == 302
    assert internal_store().stat(weights.key) is None


def test_an_upload_that_nobody_finishes_is_forgotten(cast: SimpleNamespace, weights: PretrainedWeights) -> None:
    begun = weights_begin(cast.owner, cast.organization, **words(archive()))
    assert weights_sweep() == 0
    old = timezone.now() - timezone.timedelta(days=2)
    PretrainedWeights.objects.update(created_at=old)
    assert weights_sweep() == 1
    assert list(PretrainedWeights.objects.all()) == [weights] != [begun]


def test_a_checkpoint_is_kept_as_weights(cast: SimpleNamespace) -> None:
    job = job_make(cast, JobState.COMPLETED)
    attempt = JobAttempt.objects.create(job=job, number=1, opened_at=job.created_at, lease_until=job.created_at)
    content = archive("trained")
    internal_store().put("jobs/1/best.pt", content)
    fields = {"key": "jobs/1/best.pt", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    best = Checkpoint.objects.create(job=job, attempt=attempt, kind="best", **fields)
    page = client_of(cast.owner).get(f"/jobs/{job.pk}/")
    assert f"/checkpoints/{best.pk}/keep/" in page.content.decode()
    said = client_of(cast.owner).post(f"/checkpoints/{best.pk}/keep/", follow=True).content.decode()
    kept = PretrainedWeights.objects.get()
    assert f"{kept.name} was kept" in said and kept.key != best.key
    assert internal_store().get(kept.key) == content
    again = client_of(cast.owner).post(f"/checkpoints/{best.pk}/keep/", follow=True)
    assert "already weights called" in again.content.decode()
    assert client_of(cast.teammate).post(f"/checkpoints/{best.pk}/keep/").status_code == 403


def test_the_form_offers_the_weights_and_makes_the_job(cast, weights, tmp_path) -> None:
    dataset = dataset_import(cast.organization, "pets", folder_write(tmp_path / "pets"), cast.owner)
    client = client_of(cast.owner)
    page = client.get("/jobs/new/", {"dataset": dataset.pk, "pretrained": weights.pk}).content.decode()
    assert ">mine</option>" in page and "--pretrained mine" in page and "--model" not in page
    said = {"dataset": dataset.pk, "trainer": "ultralytics", "model": "yolo11n.yaml", "pretrained": weights.pk}
    said |= {"project": "Bottles", "experiment": "First", "set-optimizer": "auto", "set-plots": "on"}
    assert client.post("/jobs/new/", said).status_code == 302
    job = TrainingJob.objects.get()
    assert (job.weights, job.model_name) == (weights, "mine")
    copied = client.get("/jobs/new/", {"from": job.pk}).content.decode()
    assert f'<option value="{weights.pk}" selected>mine</option>' in copied


def test_the_commands_keep_and_use_weights(cast, tmp_path, capsys) -> None:
    dataset_import(cast.organization, "pets", folder_write(tmp_path / "pets"), cast.owner)
    (tmp_path / "tiny.pt").write_bytes(archive())
    call_command("add_weights", str(tmp_path / "tiny.pt"), organization="ours", json=True)
    assert json.loads(capsys.readouterr().out)["name"] == "tiny.pt"
    where = {"user": "owner", "project": "Bottles"}
    with pytest.raises(CommandError, match=r"sees no weights huge; there are: tiny\.pt"):
        call_command("train", "pets", pretrained="huge", **where)
    call_command("train", "pets", pretrained="tiny.pt", **where)
    assert TrainingJob.objects.get().model_name == "tiny.pt"
    with pytest.raises(CommandError, match="can't be read"):
        call_command("add_weights", str(tmp_path / "nothing.pt"), organization="ours")


def test_a_job_over_rest_begins_from_weights(cast: SimpleNamespace, weights: PretrainedWeights) -> None:
    body = wanted(cast, pretrained=weights.pk, model_name="")
    made = post(client_of(cast.owner), "/api/v1/training/jobs", body)
    assert made.status_code == 201, made.content
    assert made.json()["pretrained"] == {"id": weights.pk, "name": "mine"}
    address = f"/api/v1/training/jobs/{made.json()['id']}/clone"
    assert post(client_of(cast.owner), address).json()["pretrained"] == {"id": weights.pk, "name": "mine"}
    other = post(client_of(cast.owner), address, {"model_name": "yolo11n.yaml"}).json()
    assert (other["pretrained"], other["model_name"]) == (None, "yolo11n.yaml")
    refused = client_of(cast.owner).delete(f"{API}/{weights.pk}")
    assert refused.status_code == 409 and "2 jobs began from it" in refused.json()["detail"]


def test_published_weights_are_offered_only_where_the_setting_says_so(cast, settings) -> None:
    with pytest.raises(ValidationError, match=r"yolo11n.pt is unknown"):
        make_job(cast, model_name="yolo11n.pt")
    settings.ALLOW_HUB_DOWNLOADS = True
    assert make_job(cast, model_name="yolo11n.pt").model_name == "yolo11n.pt"
