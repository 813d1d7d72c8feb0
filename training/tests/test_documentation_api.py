"""docs/api.md: its examples are run as they stand, by a shell against a live server."""

import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest

from training.api.rest import api
from training.datasets.services import dataset_import
from training.models import DatasetImport, JobState, Project, TrainingJob
from training.people.keys import key_create
from training.tests.conftest import job_make
from training.tests.datasets_folder import folder_write

GUIDE = Path(__file__).resolve().parent.parent.parent / "docs" / "api.md"


def examples() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.django_db(transaction=True)
def test_the_examples_of_the_guide_run(cast: SimpleNamespace, live_server: Any, tmp_path: Path) -> None:
    for tool in ("curl", "jq", "bash"):
        assert shutil.which(tool), f"{tool} is needed: deploy/system-packages"
    Project.objects.all().update(name="Another")
    for _ in range(2):
        job_make(cast)
    _, key = key_create(cast.owner, cast.organization, "guide", write=True)
    dataset_import(cast.organization, "bottles", folder_write(tmp_path / "bottles"), cast.owner)
    (tmp_path / "bottles" / "notes.md").write_bytes(b"x" * 9_000_000)  # so that there are two parts
    with zipfile.ZipFile(tmp_path / "bottles.zip", "w") as packed:
        for path in sorted((tmp_path / "bottles").rglob("*")):
            packed.write(path, path.relative_to(tmp_path))
    script = "set -euo pipefail\n" + "\n".join(examples())
    environment = {"SITE": live_server.url, "KEY": key, "PATH": "/usr/local/bin:/usr/bin:/bin", "no_proxy": "*"}
    done = subprocess.run(
        ["bash", "-x", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    job, copy = TrainingJob.objects.filter(experiment__name="First light").order_by("pk")
    assert (job.config["epochs"], copy.config["epochs"], copy.state) == (50, 5, JobState.CANCELLED)
    assert Project.objects.filter(name="Bottles and cups").exists()
    asked = DatasetImport.objects.get(name="bottles-2")
    assert asked.upload and asked.upload.parts.count() == 2
    assert pq.read_table(tmp_path / "metrics.parquet").num_rows == 0 and (tmp_path / "metrics.csv").read_text()


def test_the_guide_has_examples_for_every_way() -> None:
    text = "\n".join(examples())
    for word in ("Idempotency-Key", "If-Match", "format=parquet", "format=csv", "/clone", "/cancel", "next", "/notes"):
        assert word in text


def test_the_guide_names_what_there_is() -> None:
    routes = api.get_openapi_schema()["paths"]
    there = {(method.upper(), path.removeprefix("/api/v1/training")) for path in routes for method in routes[path]}
    calls = re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE)[A-Z ]*) (/[^`]*)`", GUIDE.read_text())
    told = {(method, path) for methods, path in calls for method in methods.split()}
    assert not told - there, "the guide names calls that there are not"
    nouns = {path.split("/")[1] for _, path in there}
    assert nouns == {path.split("/")[1] for _, path in told}
