"""A worker's part of an inference job: the files laid out, the model's process started, watched and ended."""

import hashlib
import json
import logging
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path, PurePosixPath
from typing import Any

from django.conf import settings

from training.execution.executor import Exit, Launch
from training.execution.launch import PASSED_ON, trainer_python
from training.execution.owner import trainer_owner
from training.execution.subprocess import process_start, signal_name
from training.inference.result import MOST_BYTES, BadResult, result_read
from training.inference.services import inference_end, inference_hand_back
from training.models import Checkpoint, InferenceJob
from training.storage.store import StorageError, internal_store
from training.trainers import trainer_get

logger = logging.getLogger(__name__)
IMGSZ = 640
THREADS = "2"


class Failed(Exception):
    """The model saw nothing; the message is for people."""


def inference_run(inference: InferenceJob, stopping: threading.Event) -> None:
    """Try the model, and close the job whatever happens; handed back where the worker is told to stop."""
    root = Path(settings.WORK_DIR) / "inference"
    root.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{inference.pk}-", dir=root))
    try:
        result = _result(inference, folder, stopping)
        if result is None:
            inference_hand_back(inference)
        else:
            inference_end(inference, result)
    except (Failed, BadResult, StorageError) as error:
        inference_end(inference, None, str(error))
    except Exception as error:
        logger.exception("Inference %s broke", inference.pk)
        inference_end(inference, None, f"Something broke on the worker: {type(error).__name__}. Its log tells more.")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _result(inference: InferenceJob, folder: Path, stopping: threading.Event) -> dict[str, Any] | None:
    launch = _launch(inference, folder)
    running = process_start(launch)
    deadline = time.monotonic() + settings.INFERENCE_SECONDS
    while (ended := running.poll(0.2)) is None:
        if stopping.is_set() or time.monotonic() > deadline:
            running.stop(force=True)
        if stopping.is_set():
            return None
        if time.monotonic() > deadline + 10:
            break
    if time.monotonic() > deadline:
        raise Failed(f"The model took longer than {settings.INFERENCE_SECONDS:g} s, so it was ended.")
    running.output.wait(2.0)
    return _read(folder / "result.json", ended, list(running.output.tail))


def _read(file: Path, ended: Exit | None, tail: list[str]) -> dict[str, Any]:
    """The result that was written. Raises Failed with what the process said of itself, or how it ended; BadResult."""
    try:
        with file.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
        raw = json.loads(content) if len(content) <= MOST_BYTES else None
    except (OSError, ValueError, RecursionError) as error:
        how = signal_name(ended.signal) if ended and ended.signal else f"exit code {ended.code if ended else '?'}"
        message = f"The model's process ended without a result ({how})."
        raise Failed(f"{message} Its last words: {tail[-1][:500]}" if tail else message) from error
    if isinstance(raw, dict) and isinstance(raw.get("error"), str):
        raise Failed(raw["error"])
    return result_read(raw)


def _launch(inference: InferenceJob, folder: Path) -> Launch:
    """The command and all that its process may know: no token, no key, no address of ours."""
    trainer = trainer_get(inference.job.trainer)
    if inference.checkpoint is None:
        raise Failed("The checkpoint has been deleted.")
    weights = folder / f"weights{PurePosixPath(inference.checkpoint.key).suffix}"
    picture = folder / f"picture{PurePosixPath(inference.picture_key).suffix}"
    _weights_fetch(inference.checkpoint, weights)
    picture.write_bytes(internal_store().get(inference.picture_key))
    _hand_over(folder)
    files = ["--weights", str(weights), "--picture", str(picture), "--result", str(folder / "result.json")]
    limits = ["--seconds", f"{settings.INFERENCE_SECONDS:g}", "--memory-gb", f"{settings.INFERENCE_MEMORY_GB:g}"]
    command = [trainer_python(trainer.name), "-m", trainer.predict, *files, *limits]
    size = inference.job.config.get("imgsz")
    command += ["--imgsz", str(size if isinstance(size, int) else IMGSZ)]
    return Launch(command, _environment(folder), folder)


def _hand_over(folder: Path) -> None:
    """Where trainers have a user of their own, so has the model's process: it owns its folder and what lies in it."""
    if (owner := trainer_owner()) is not None:
        for file in folder.iterdir():
            os.chown(file, owner.uid, owner.gid)
        owner.take(folder)


def _environment(folder: Path) -> dict[str, str]:
    return {
        **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "PYTHONPATH": os.pathsep.join(dict.fromkeys([str(Path(settings.TRAINERS_DIR).parent), str(settings.BASE_DIR)])),
        "PYTHONUNBUFFERED": "1",
        "CUDA_VISIBLE_DEVICES": "",  # the GPUs belong to training
        "OMP_NUM_THREADS": THREADS,
    }


def _weights_fetch(checkpoint: Checkpoint, target: Path) -> None:
    digest = hashlib.sha256()
    with target.open("wb") as file:
        for chunk in internal_store().read(checkpoint.key):
            digest.update(chunk)
            file.write(chunk)
    if digest.hexdigest() != checkpoint.sha256:
        raise Failed("The checkpoint in the store is not the one that was trained: its SHA-256 differs.")
