"""Settings: a wrong value stops the start with a message that names it, and every variable is explained."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from observability.reference import adapters
from platform_site import settings as platform_settings

ROOT = Path(__file__).resolve().parent.parent.parent
CODE = "import django; from django.conf import settings; settings.DEBUG; print('started')"


def start(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"DJANGO_SETTINGS_MODULE": "platform_site.settings", "PYTHONPATH": str(ROOT)}
    environment |= {"DATA_DIR": str(tmp_path), **variables}
    return subprocess.run(
        [sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, timeout=60, cwd=tmp_path
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DJANGO_DEBUG", "perhaps"),
        ("SITE_URL", "ftp://somewhere"),
        ("DATABASE_URL", "mysql://u:secretword@host/db"),
        ("REDIS_URL", "http://secretword@host"),
        ("CELERY_BROKER_URL", "smtp://x"),
        ("HEARTBEAT_SECONDS", "soon"),
        ("HEARTBEAT_SECONDS", "0"),
        ("TIME_LIMIT_HOURS", "inf"),
        ("DATASET_CACHE_MAX_GB", "-1"),
        ("MAX_ATTEMPTS", "2.5"),
        ("TRAINING_MODE", "magic"),
        ("INTERNAL_STORAGE_URL", "gopher://x"),
        ("LOG_LEVEL", "LOUD"),
        ("MLFLOW_ENABLED", "perhaps"),
        ("DELIVERY_CALL_SECONDS", "0"),
        ("DELIVERY_LEASE_SECONDS", "1"),
        ("EMAIL_URL", "bogus://user:secretword@host"),
        ("EMAIL_URL", "smtp://"),
        ("SIGN_UP_OPEN", "perhaps"),
        ("INVITATION_DAYS", "0"),
        ("IMPORT_S3_PLACES", "s3://bucket/a,file:///etc"),
        ("IMPORT_MAX_FILES", "0"),
        ("UPLOAD_KEEP_HOURS", "0"),
        ("TRIES_PER_ACCOUNT", "none"),
    ],
)
def test_a_wrong_value_stops_the_start_and_is_named(tmp_path: Path, name: str, value: str) -> None:
    done = start(tmp_path, **{name: value})
    assert done.returncode != 0 and f"{name}" in done.stderr.splitlines()[-1]
    assert "secretword" not in done.stderr


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({}, "DJANGO_SECRET_KEY"),
        ({"DJANGO_SECRET_KEY": "short"}, "DJANGO_SECRET_KEY"),
        ({"DJANGO_SECRET_KEY": "x" * 50}, "DJANGO_ALLOWED_HOSTS"),
        ({"DJANGO_SECRET_KEY": "x" * 50, "DJANGO_ALLOWED_HOSTS": "*"}, "DJANGO_ALLOWED_HOSTS"),
    ],
)
def test_production_refuses_a_default_secret_and_open_hosts(tmp_path: Path, variables: dict, named: str) -> None:
    done = start(tmp_path, DJANGO_DEBUG="false", **variables)
    assert done.returncode != 0 and named in done.stderr.splitlines()[-1]


def test_the_defaults_start(tmp_path: Path) -> None:
    assert start(tmp_path).stdout == "started\n"


def test_the_file_system_broker_may_be_named(tmp_path: Path) -> None:
    assert start(tmp_path, CELERY_BROKER_URL="filesystem://").stdout == "started\n"


def test_every_variable_is_in_the_example_and_no_other() -> None:
    text = (ROOT / ".env.example").read_text()
    explained = set(re.findall(r"^([A-Z0-9_]+)=", text, re.MULTILINE))
    source = (ROOT / "platform_site" / "settings.py").read_text()
    read = set(re.findall(r'env\.\w+\(\s*"([A-Z0-9_]+)"', source))
    of_adapters = {variable.name for adapter in adapters() for variable in adapter.variables}
    assert explained == read | of_adapters and set(platform_settings.env.known) <= read
