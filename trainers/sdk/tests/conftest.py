"""The cast of the SDK's tests: a strict platform, and the environment that it would give to a trainer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trainers.sdk import TrainerSDK
from trainers.sdk.tests.platform_server import TOKEN, Platform


@pytest.fixture
def platform() -> Iterator[Platform]:
    server = Platform()
    yield server
    server.stop()


@pytest.fixture
def variables(platform: Platform, tmp_path: Path) -> dict[str, str]:
    return {
        "CALLBACK_URL": platform.url,
        "CALLBACK_TOKEN": TOKEN,
        "JOB_ID": "42",
        "ATTEMPT": "1",
        "SPOOL_DIR": str(tmp_path / "spool"),
        "WORK_DIR": str(tmp_path / "work"),
        "DATASET_CACHE_DIR": str(tmp_path / "cache"),
        "HEARTBEAT_SECONDS": "5",
    }


@pytest.fixture
def make_sdk(variables: dict[str, str]) -> Iterator[Callable[..., TrainerSDK]]:
    made: list[TrainerSDK] = []

    def make(**more: str) -> TrainerSDK:
        made.append(TrainerSDK(variables | more))
        return made[-1]

    yield make
    for sdk in made:
        sdk.close(seconds=0.1)


@pytest.fixture
def sdk(make_sdk: Callable[..., TrainerSDK]) -> TrainerSDK:
    return make_sdk()


@pytest.fixture
def snapshot(platform: Platform, variables: dict[str, str]) -> dict[str, str]:
    """A snapshot of 12 images and labels at the platform; the variables of a job on it."""
    files = {}
    for number in range(12):
        split = "val" if number % 4 == 3 else "train"
        files[f"images/{split}/{number}.png"] = b"image %d" % number
        files[f"labels/{split}/{number}.txt"] = b"%d 0.5 0.5 0.2 0.2\n" % (number % 2)
    entries = [
        {
            "path": path,
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "role": "image" if path.startswith("images") else "label",
            "split": path.split("/")[1],
        }
        for path, content in files.items()
    ]
    manifest = {"version_hash": "abcdef0123", "format": "yolo", "task_type": "detection", "classes": ["0", "1"]}
    platform.files |= files | {"snapshot/manifest.json": json.dumps(manifest | {"files": entries}).encode()}
    return {"SNAPSHOT_ID": "7", "DATASET_VERSION_HASH": "abcdef0123"}
