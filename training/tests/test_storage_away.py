"""A store that is away or misconfigured is told by `/readyz` and by pages, soon and plainly; other pages go on."""

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client

from training.models import Artifact, JobAttempt
from training.storage.store import StoreAway, external_store, internal_store
from training.tests.rest_program import Program

pytestmark = [pytest.mark.django_db, pytest.mark.once]


@pytest.fixture
def away(settings: Any, stores_in_a_temporary_folder: None) -> None:
    """Both stores on an S3 server that is not there."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    for name in ("INTERNAL", "EXTERNAL"):
        setattr(settings, f"{name}_STORAGE_URL", f"s3://away-{port}/x")
        setattr(settings, f"{name}_STORAGE_ENDPOINT", f"http://127.0.0.1:{port}")
        setattr(settings, f"{name}_STORAGE_ACCESS_KEY", "key")
        setattr(settings, f"{name}_STORAGE_SECRET_KEY", "secret")


def test_readyz_names_the_stores_that_are_away(away: None) -> None:
    answer = Client().get("/readyz")
    said = "away, or its bucket or folder is missing"
    assert (answer.status_code, answer.json()["checks"]["storage"]) == (503, f"internal: {said}; external: {said}")


def test_readyz_tells_of_a_local_folder_that_can_not_be_made(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings.INTERNAL_STORAGE_URL = f"file://{tmp_path / 'file' / 'store'}"
    settings.EXTERNAL_STORAGE_URL = f"file://{tmp_path / 'external'}"
    said = Client().get("/readyz").json()["checks"]["storage"]
    assert said.startswith("internal: away") and "external" not in said
    external_store().check()


def test_a_page_that_needs_a_store_says_that_it_is_away_and_others_go_on(
    away: None, cast: SimpleNamespace, attempt: JobAttempt
) -> None:
    shown = Artifact.objects.create(
        job=attempt.job, attempt=attempt, kind="curve", name="a.png", key="a.png", size=1, sha256="0" * 64
    )
    client = Client()
    client.force_login(cast.owner)
    answer = client.get(f"/artifacts/{shown.pk}/")
    assert answer.status_code == 503 and answer["Retry-After"]
    assert "does not answer now" in answer.content.decode()
    assert client.get(f"/jobs/{attempt.job_id}/").status_code == 200


def test_rest_answers_503_as_a_problem(away: None, cast: SimpleNamespace, program: Program) -> None:
    file: dict[str, Any] = {
        "name": "n.pt",
        "size": 5,
        "sha256": "0" * 64,
        "framework": "ultralytics",
        "task_type": "detection",
    }
    file |= {"filename": "n.pt", "organization": cast.organization.pk}
    begun = program.post("/api/v1/training/weights", file).json()
    answer = program.post(f"/api/v1/training/weights/{begun['weights']['id']}/finish")
    assert (answer.status_code, answer["Content-Type"]) == (503, "application/problem+json"), answer.content


@pytest.mark.end_to_end
@pytest.mark.timeout(300)
def test_a_bucket_that_is_missing_is_told(settings: Any, stores_on_s3: None) -> None:
    internal_store().check()
    assert Client().get("/readyz").json()["checks"]["storage"] == "ok"
    settings.INTERNAL_STORAGE_URL = "s3://there-is-none/x"
    with pytest.raises(StoreAway, match="no bucket there-is-none"):
        internal_store().check()
    assert Client().get("/readyz").status_code == 503
