"""Finding adapters: a file dropped into a folder is all it takes; a bad one disturbs nobody."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from observability import registry
from observability.discovery import BUILT_IN, find
from observability.tests.conftest import Configure
from observability.tests.faulty import write

CODE = "import django; django.setup(); from observability.registry import configured; print(*configured())"


def start(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"DJANGO_SETTINGS_MODULE": "platform_site.settings", "PATH": os.environ["PATH"]}
    environment |= {"DATA_DIR": str(folder), "OBSERVABILITY_ADAPTERS": str(folder), **variables}
    command = [sys.executable, "-c", CODE]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, cwd=settings.BASE_DIR)


def test_a_dropped_file_is_found_by_its_name(tmp_path: Path, configure: Configure) -> None:
    write(tmp_path, "dropped")
    configure("dropped", places=(tmp_path,))
    assert list(registry.configured()) == ["database", "dropped"]
    assert registry.configured()["dropped"].label == "dropped"


def test_a_broken_file_is_listed_with_its_error(tmp_path: Path) -> None:
    write(tmp_path, "broken", "imports")
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "leaves.py").write_text("raise SystemExit(1)")
    write(tmp_path, "fine")
    found = find([tmp_path])
    assert found["fine"].adapter is not None and found["broken"].adapter is None
    assert found["broken"].error == "broken.py: RuntimeError: this SDK is broken"
    assert "defines 0 adapters instead of one" in found["empty"].error
    assert found["leaves"].error == "leaves.py: SystemExit: 1"


def test_a_name_can_be_taken_only_once(tmp_path: Path) -> None:
    path = write(tmp_path, "database")
    found = find([tmp_path])
    assert found["database"].path.parent == BUILT_IN
    assert any("already taken" in one.error for one in found.values() if one.path == path)


def test_every_adapter_that_comes_along_can_be_imported_without_its_library() -> None:
    code = "import sys; from observability.discovery import find; found = find([]); print(*sys.modules)\n"
    code += "print(*[f'{one.name}:{one.error}' for one in found.values()], sep='|')"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=settings.BASE_DIR, check=True)
    modules, listed = done.stdout.splitlines()
    heavy = {"mlflow", "clearml", "wandb", "tensorboard", "tensorflow", "torch", "django"}
    assert not {name.split(".")[0] for name in modules.split()} & heavy
    assert "database:" in listed.split("|") and all(one.endswith(":") for one in listed.split("|")), listed


def test_an_unknown_backend_stops_the_start_and_the_known_ones_are_listed(tmp_path: Path) -> None:
    write(tmp_path, "homemade")
    done = start(tmp_path, OBSERVABILITY_BACKENDS="database,mlfolw")
    last = done.stderr.splitlines()[-1]
    assert done.returncode != 0 and "mlfolw" in last and "database" in last and "homemade" in last


@pytest.mark.parametrize("chosen", ["homemade", "database,homemade", "homemade,database,homemade"])
def test_the_database_is_always_on_and_names_count_once(tmp_path: Path, chosen: str) -> None:
    write(tmp_path, "homemade")
    assert start(tmp_path, OBSERVABILITY_BACKENDS=chosen).stdout == "database homemade\n"


def test_a_broken_adapter_does_not_stop_the_start(tmp_path: Path) -> None:
    write(tmp_path, "broken", "imports")
    assert start(tmp_path, OBSERVABILITY_BACKENDS="broken").stdout == "database broken\n"


def test_the_flags_of_two_backends_add_to_the_list(tmp_path: Path) -> None:
    code = "from django.conf import settings; print(*settings.OBSERVABILITY_BACKENDS)"
    environment = {"DJANGO_SETTINGS_MODULE": "platform_site.settings", "DATA_DIR": str(tmp_path)}
    environment |= {"MLFLOW_ENABLED": "true", "TENSORBOARD_ENABLED": "yes"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, cwd=settings.BASE_DIR
    )
    assert done.stdout == "database mlflow tensorboard\n"
