"""A made dataset of rectangles, offered by the strict platform of the SDK's tests."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from trainers.sdk.tests.platform_server import TOKEN, Platform
from training.datasets.formats.registry import format_find
from training.datasets.snapshot import file_role
from training.tests.datasets_tasks import folder_of

ROOT = Path(__file__).parents[3]
IMAGES = {"train": 16, "val": 4}


@pytest.fixture
def platform() -> Iterator[Platform]:
    server = Platform(part_size=8 << 20)
    entries = []
    for split, count in IMAGES.items():
        for number in range(count):
            image, label = scene(random.Random(f"{split}{number}"))
            for path, content in ((f"images/{split}/{number}.png", image), (f"labels/{split}/{number}.txt", label)):
                server.files[path] = content
                role, digest = ("image" if path.startswith("images") else "label"), hashlib.sha256(content).hexdigest()
                entries.append({"path": path, "size": len(content), "sha256": digest, "role": role, "split": split})
    manifest = {"version_hash": "0123456789", "format": "yolo", "task_type": "detection", "classes": ["red", "blue"]}
    server.files["snapshot/manifest.json"] = json.dumps(manifest | {"files": entries}).encode()
    yield server
    server.stop()


@pytest.fixture
def offer(platform: Platform, tmp_path: Path) -> Callable[[str], None]:
    """Have the platform offer real digits for a task, in the normal form that an import gives them."""

    def put(task: str) -> None:
        scan = format_find(folder := folder_of(task, tmp_path / "digits")).scan(folder)
        parts = {image.path: image.split for image in scan.images}
        parts |= {image.label_path: image.split for image in scan.images}
        entries = []
        for path, source in scan.files():
            content = source if isinstance(source, bytes) else source.read_bytes()
            platform.files[path] = content
            digest, role = hashlib.sha256(content).hexdigest(), file_role(path)
            entries.append({"path": path, "size": len(content), "sha256": digest, "role": role})
            entries[-1]["split"] = parts.get(path)
        manifest = {"version_hash": "0123456789", "format": scan.format, "task_type": task, "classes": scan.classes}
        platform.files["snapshot/manifest.json"] = json.dumps(manifest | {"files": entries}).encode()

    return put


def scene(dice: random.Random) -> tuple[bytes, bytes]:
    """A grey image of 64 pixels with one red or blue rectangle, and its label."""
    image, kind = Image.new("RGB", (64, 64), "grey"), dice.randrange(2)
    left, top, width, height = dice.randrange(30), dice.randrange(30), dice.randrange(12, 32), dice.randrange(12, 32)
    ImageDraw.Draw(image).rectangle((left, top, left + width, top + height), fill=("red", "blue")[kind])
    file = BytesIO()
    image.save(file, "PNG")
    numbers = ((left + width / 2) / 64, (top + height / 2) / 64, width / 64, height / 64)
    return file.getvalue(), f"{kind} {' '.join(f'{number:.6f}' for number in numbers)}\n".encode()


@pytest.fixture
def start(platform: Platform, tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start the trainer as the platform would, with a minimal environment."""
    variables = {
        "PATH": os.environ["PATH"],
        "OMP_NUM_THREADS": "1",  # more threads are far slower on a machine that others use too
        "CALLBACK_URL": platform.url,
        "CALLBACK_TOKEN": TOKEN,
        "JOB_ID": "42",
        "ATTEMPT": "1",
        "TASK_TYPE": "detection",
        "MODEL_NAME": "yolo11n.yaml",
        "FRAMEWORK": "ultralytics",
        "SNAPSHOT_ID": "7",
        "DATASET_VERSION_HASH": "0123456789",
        "CONFIG": json.dumps({"optimizer": "AdamW", "learning_rate": 0.003, "mosaic": 0.3, "fliplr": 0.0}),
        "EPOCHS": "2",
        "BATCH_SIZE": "8",
        "IMGSZ": "64",
        "DEVICE": "cpu",
        "HEARTBEAT_SECONDS": "0.5",
        "SPOOL_DIR": str(tmp_path / "spool"),
        "WORK_DIR": str(tmp_path / "work"),
        "DATASET_CACHE_DIR": str(tmp_path / "cache"),
    }

    def begin(**more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "trainers.ultralytics.tests.watched"]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=ROOT, env=variables | more, stdout=pipe, stderr=subprocess.STDOUT, text=True
        )

    return begin
