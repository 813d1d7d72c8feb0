"""Artifacts: uploaded to an address signed for the attempt, looked at, shown as what they are and as nothing else."""

import hashlib
import json
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client

from training.jobs.attempts import job_claim, token_make
from training.models import Artifact, JobAttempt, JobState, TrainingJob
from training.storage.store import internal_store
from training.tests.datasets_folder import picture

pytestmark = pytest.mark.django_db


def call(attempt: JobAttempt, name: str, body: dict[str, Any]) -> Any:
    headers = {"Authorization": f"Bearer {token_make(attempt.job_id, attempt.number)}"}
    address = f"/api/v1/training/jobs/{attempt.job_id}/callback/{name}"
    return Client().post(address, json.dumps(body), content_type="application/json", headers=headers)


def said_of(name: str, content: bytes, kind: str = "curve") -> dict[str, Any]:
    return {"kind": kind, "name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def upload(attempt: JobAttempt, name: str, content: bytes, kind: str = "curve") -> Any:
    """As the SDK does it: an address, the bytes, the word."""
    said = said_of(name, content, kind)
    given = call(attempt, "urls", {"put": [said | {"for": "artifact"}]})
    if given.status_code != 200:
        return given
    put = given.json()["put"][name]
    assert Client().put(put["url"], content).status_code == 200
    return call(attempt, "artifact", said | {"key": put["key"], "epoch": 2})


def signed_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_a_picture_is_stored_and_shown_in_its_gallery(cast: SimpleNamespace, attempt: JobAttempt) -> None:
    assert upload(attempt, "PR_curve.png", picture()).status_code == 200
    stored = Artifact.objects.get()
    assert (stored.content_type, stored.epoch, stored.kind) == ("image/png", 2, "curve")
    page = signed_in(cast.owner).get(f"/jobs/{attempt.job_id}/").content.decode()
    assert f'<img src="/artifacts/{stored.pk}/" alt="PR_curve.png"' in page and "Curves" in page
    shown = signed_in(cast.owner).get(f"/artifacts/{stored.pk}/")
    assert (shown.content, shown["Content-Type"]) == (picture(), "image/png")
    assert (shown["X-Content-Type-Options"], shown["Content-Disposition"]) == (
        "nosniff",
        'inline; filename="PR_curve.png"',
    )
    assert "sandbox" in shown["Content-Security-Policy"]


def test_a_table_is_a_download(cast: SimpleNamespace, attempt: JobAttempt) -> None:
    assert upload(attempt, "results.csv", b"epoch,loss\n1,0.5\n", "table").status_code == 200
    shown = signed_in(cast.owner).get(f"/artifacts/{Artifact.objects.get().pk}/")
    assert shown["Content-Disposition"].startswith("attachment")


def test_the_same_word_twice_makes_one_and_a_newer_one_takes_its_place(attempt: JobAttempt) -> None:
    first = upload(attempt, "a.png", picture()).json()
    assert upload(attempt, "a.png", picture()).json() == first
    second = upload(attempt, "a.png", picture(30)).json()
    assert second["id"] != first["id"]
    assert Artifact.objects.get().sha256 == hashlib.sha256(picture(30)).hexdigest()


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("a.svg", b"<svg onload='alert(1)'/>", 400),
        ("a.html", b"<script>", 400),
        ("noending", b"x", 400),
        ("a.png", b"<html><script>alert(1)</script>", 400),
        ("a.jpg", picture(), 400),
    ],
)
def test_what_is_no_picture_is_refused(attempt: JobAttempt, name: str, content: bytes, status: int) -> None:
    assert upload(attempt, name, content).status_code == status
    assert not Artifact.objects.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "0" * 64},
        {"size": 5},
        {"key": "jobs/1/attempts/9/artifacts/a.png"},
        {"key": "../../secret.png"},
        {"name": "b.png"},
        {"kind": "<script>"},
    ],
)
def test_a_word_that_is_not_so_is_refused(attempt: JobAttempt, change: dict[str, Any]) -> None:
    content = picture()
    said = said_of("a.png", content)
    put = call(attempt, "urls", {"put": [said | {"for": "artifact"}]}).json()["put"]["a.png"]
    Client().put(put["url"], content)
    assert call(attempt, "artifact", said | {"key": put["key"]} | change).status_code == 400
    assert not Artifact.objects.exists()


def test_too_large_and_too_many_are_refused(attempt: JobAttempt, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"for": "artifact", "kind": "curve", "name": "a.png", "sha256": "0" * 64}
    assert call(attempt, "urls", {"put": [said | {"size": 2**30}]}).status_code == 400
    monkeypatch.setattr("training.artifacts.MOST", 0)
    assert call(attempt, "urls", {"put": [said | {"size": 5}]}).status_code == 400


def test_an_attempt_that_is_over_leaves_nothing_more(attempt: JobAttempt) -> None:
    TrainingJob.objects.update(state=JobState.COMPLETED)
    assert upload(attempt, "a.png", picture()).status_code == 409


def test_the_list_over_rest_gives_addresses(cast: SimpleNamespace, attempt: JobAttempt) -> None:
    upload(attempt, "a.png", picture())
    (one,) = signed_in(cast.owner).get(f"/api/v1/training/jobs/{attempt.job_id}/artifacts").json()["items"]
    assert (one["name"], one["attempt"]) == ("a.png", 1)
    assert Client().get(one["url"]).content == picture()
    assert signed_in(cast.stranger).get(f"/artifacts/{one['id']}/").status_code == 404


def test_a_picture_that_is_gone_from_the_store_is_not_found(cast: SimpleNamespace, attempt: JobAttempt) -> None:
    upload(attempt, "a.png", picture())
    internal_store().delete(Artifact.objects.get().key)
    assert signed_in(cast.owner).get(f"/artifacts/{Artifact.objects.get().pk}/").status_code == 404


def test_only_the_newest_attempt_that_left_some_is_shown(cast, attempt, worker) -> None:
    from training.jobs.selectors import job_artifacts

    upload(attempt, "old.png", picture())
    TrainingJob.objects.update(state=JobState.QUEUED, validated_at=attempt.opened_at)
    worker.slots.update(attempt=None)
    second = job_claim(attempt.job_id, worker)
    assert second is not None
    assert [one.name for _, found in job_artifacts(attempt.job_id) for one in found] == ["old.png"]
    upload(second, "new.png", picture())
    assert [one.name for _, found in job_artifacts(attempt.job_id) for one in found] == ["new.png"]
