"""Who may know whom: the import rules of docs/architecture.md, checked line by line."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
OURS = ("platform_site", "training", "observability", "trainers")
DOORS = ("training.api", "training.pages", "training.live", "training.tasks", "training.admin")
# the source → what it must never import
FORBIDDEN = {
    "trainers": ("platform_site", "training", "observability", "django"),
    "training": ("observability", "trainers"),
    "training.models": ("training.jobs", "training.execution", "training.journal", "training.datasets", *DOORS),
    "training.journal": ("training.jobs", "training.execution", "training.datasets", *DOORS),
    "training.people": ("training.jobs", "training.execution", "training.datasets", *DOORS),
    "training.jobs": ("training.execution", *DOORS),
    "training.datasets": ("training.jobs", "training.execution", *DOORS),
    "training.storage": ("training.models", "training.jobs", "training.execution", "training.datasets", *DOORS),
    "training.execution": DOORS,
    "training.inference": DOORS,
    **{door: tuple(other for other in DOORS if other != door) for door in DOORS},
}
# what observability may know of the domain: facts, the journal, the signals, and a page's first check
KNOWN_TO_OBSERVABILITY = (
    "training.models",
    "training.journal",
    "training.signals",
    "training.trainers",
    *("training.jobs.clock", "training.jobs.effective", "training.jobs.selectors", "training.jobs.states"),
    *("training.jobs.backends", "training.jobs.imports", "training.projects.services"),
    "training.pages.doors",
    "training.people.audit",
    *("training.api.problems", "training.api.rest_pages"),
    "training.people.roles",
    "training.benchmarks.rig",
)
# the process of a backend imports these, and no Django with them
OF_THE_RUNNER = ("base", "discovery", "family", "runner", "wire")
HEAVY = ("torch", "mlflow", "clearml", "wandb", "ultralytics", "tensorboard", "pyarrow", "boto3", "botocore")


def modules() -> Iterator[tuple[str, Path]]:
    for top in OURS:
        for path in sorted((ROOT / top).rglob("*.py")):
            relative = path.relative_to(ROOT)
            if not {"tests", "migrations", ".venv"} & set(relative.parts):
                yield ".".join(relative.with_suffix("").parts).removesuffix(".__init__"), path


def imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def within(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


def offences(module: str, path: Path) -> Iterator[str]:
    for room, forbidden in FORBIDDEN.items():
        if within(module, room):
            for line, name in imports(path):
                if any(within(name, other) for other in forbidden):
                    yield f"{path.relative_to(ROOT)}:{line} {room} must not import {name}"


def test_no_room_imports_what_it_must_not_know() -> None:
    found = [offence for module, path in modules() for offence in offences(module, path)]
    assert found == []


def test_a_forbidden_import_would_be_found(tmp_path: Path) -> None:
    path = ROOT / "training" / "jobs" / "made_up.py"
    source = tmp_path / "made_up.py"
    source.write_text("from training.api import callbacks\n")
    (line, name), *_ = imports(source)
    assert (line, name) == (1, "training.api") and within(name, "training.api") and path.parent.is_dir()


def test_trainers_know_only_the_sdk_of_ours() -> None:
    for module, path in modules():
        if within(module, "trainers"):
            ours = {name for _, name in imports(path) if name.split(".")[0] in OURS}
            own = ".".join(module.split(".")[:2])
            assert all(name == "trainers" or within(name, "trainers.sdk") or within(name, own) for name in ours), path


def test_observability_knows_only_facts_and_the_journal() -> None:
    for module, path in modules():
        if within(module, "observability"):
            of_training = {name for _, name in imports(path) if within(name, "training")}
            strange = [name for name in of_training if not any(within(name, known) for known in KNOWN_TO_OBSERVABILITY)]
            assert strange == [], path


def test_the_process_of_a_backend_never_loads_django_or_the_domain() -> None:
    for name in OF_THE_RUNNER:
        path = ROOT / "observability" / f"{name}.py"
        ours = tuple(f"observability.{one}" for one in OF_THE_RUNNER)
        for line, imported in imports(path):
            top = imported.split(".")[0]
            assert top not in ("django", "training", "platform_site", "celery"), f"{path}:{line}"
            assert top != "observability" or any(within(imported, one) for one in ours), f"{path}:{line}"


@pytest.mark.parametrize("module", ["platform_site.asgi", "training.tasks", "observability.tasks"])
def test_the_platform_never_loads_a_heavy_library(module: str) -> None:
    import subprocess
    import sys

    code = f"import django; django.setup(); import {module}, sys; print(*sys.modules)"
    environment = {"DJANGO_SETTINGS_MODULE": "platform_site.settings", "PATH": "", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & set(HEAVY)
