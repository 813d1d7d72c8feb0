"""What a trainer is given when it is started: a command, and the few variables of docs/trainer-protocol.md."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.text import slugify

from training.checkpoints import checkpoint_name, checkpoints_given
from training.execution.executor import Launch
from training.execution.owner import trainer_owner
from training.jobs.attempts import token_make
from training.jobs.slots import device_visible, slots_gpus
from training.models import JobAttempt, TrainingJob, Worker
from training.trainers import trainer_get
from training.weights import weights_file

PASSED_ON = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TZ", "SSL_CERT_FILE", "NVIDIA_VISIBLE_DEVICES")
OWN_VARIABLES = {
    "epochs": "EPOCHS",
    "batch_size": "BATCH_SIZE",
    "learning_rate": "LEARNING_RATE",
    "imgsz": "IMGSZ",
    "device": "DEVICE",
}


def worker_folder(worker: Worker | None) -> Path:
    """What belongs to one worker: several may share a machine."""
    return Path(settings.WORK_DIR) / (slugify(worker.name) if worker else "none")


def attempt_folder(attempt: JobAttempt) -> Path:
    """The attempt's own folder on its worker: the spool and the working folder lie in it."""
    return worker_folder(attempt.worker) / f"job-{attempt.job_id}-{attempt.number}"


def trainer_launch(attempt: JobAttempt) -> Launch:
    """The start of an attempt's trainer. Raises ValidationError if the trainer is not installed."""
    trainer = trainer_get(attempt.job.trainer)
    command = [trainer_python(trainer.name), "-m", trainer.module]
    return Launch(command, environment_make(attempt), _folder(attempt, "work"))


def drain_launch(attempt: JobAttempt, seconds: float) -> Launch:
    """Send what a dead trainer's spool still holds."""
    command = [sys.executable, "-m", "trainers.sdk.drain", "--seconds", f"{seconds:g}"]
    environment = {**environment_make(attempt), "PYTHONPATH": str(settings.BASE_DIR)}
    return Launch(command, environment, _folder(attempt, "work"))


def environment_make(attempt: JobAttempt) -> dict[str, str]:
    """The whole environment of a trainer on this machine: no key to the database, to storage or to a tracking tool."""
    return {
        **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
        "PYTHONPATH": os.pathsep.join(dict.fromkeys([str(Path(settings.TRAINERS_DIR).parent), str(settings.BASE_DIR)])),
        "CUDA_VISIBLE_DEVICES": ",".join(slots_gpus(attempt)),
        **trainer_variables(attempt, lambda name: str(_folder(attempt, name)), str(_cache())),
    }


def trainer_variables(attempt: JobAttempt, folder: Callable[[str], str], cache: str) -> dict[str, str]:
    """What a trainer is told wherever it runs: the platform's door, its folders (`work`, `tmp`, `spool`), its job."""
    job = attempt.job
    return {
        "HOME": folder("work"),
        "TMPDIR": folder("tmp"),
        "PYTHONUNBUFFERED": "1",
        "CALLBACK_URL": f"{settings.SITE_URL}/api/v1/training/jobs/{job.pk}/callback",
        "CALLBACK_TOKEN": token_make(job.pk, attempt.number),
        "CALLBACK_INTERVAL": str(settings.CALLBACK_INTERVAL),
        "HEARTBEAT_SECONDS": f"{settings.HEARTBEAT_SECONDS:g}",
        "JOB_ID": str(job.pk),
        "ATTEMPT": str(attempt.number),
        "OPERATION": "train",
        "SPOOL_DIR": folder("spool"),
        "WORK_DIR": folder("work"),
        "DATASET_CACHE_DIR": cache,
        "DATASET_CACHE_MAX_GB": f"{settings.DATASET_CACHE_MAX_GB:g}",
        "CHECKPOINT_SECONDS": f"{settings.CHECKPOINT_SECONDS:g}",
        **_start_variables(attempt),
        **_job_variables(job, len(slots_gpus(attempt))),
    }


def _start_variables(attempt: JobAttempt) -> dict[str, str]:
    """Where the training begins, if not at nothing: a checkpoint to go on from, or weights."""
    said: dict[str, object] = {}
    for kind, checkpoint in checkpoints_given(attempt).items():
        name = "RESUME" if kind == "resume" else "WEIGHTS"
        said |= {f"{name}_CHECKPOINT": checkpoint_name(kind, checkpoint), f"{name}_SHA256": checkpoint.sha256}
    if (kept := attempt.job.weights) is not None and attempt.resumed_from is None:
        said |= {"WEIGHTS_CHECKPOINT": weights_file(kept), "WEIGHTS_SHA256": kept.sha256}
    if attempt.resumed_from is not None:
        said |= {"RESUME_EPOCH": attempt.resumed_epoch, "RESUME_STEP": attempt.resumed_step}
    return {name: str(value) for name, value in said.items() if value is not None}


def _job_variables(job: TrainingJob, gpus: int) -> dict[str, str]:
    config = (
        {**job.config, "device": device_visible(job.config["device"], gpus)} if "device" in job.config else job.config
    )
    said: dict[str, Any] = {
        "TASK_TYPE": job.task_type,
        "MODEL_NAME": job.model_name,
        "FRAMEWORK": trainer_get(job.trainer).framework,
        "CONFIG": json.dumps(config),
        **{variable: config.get(name) for name, variable in OWN_VARIABLES.items()},
    }
    if settings.ALLOW_HUB_DOWNLOADS:
        said |= {"ALLOW_HUB_DOWNLOADS": "true"}
    if job.snapshot is not None:
        said |= {
            "DATASET_ID": job.dataset_id,
            "SNAPSHOT_ID": job.snapshot_id,
            "DATASET_VERSION_HASH": job.snapshot.version_hash,
        }
    return {name: str(value) for name, value in said.items() if value is not None}


def _folder(attempt: JobAttempt, name: str) -> Path:
    folder = attempt_folder(attempt) / name
    if not folder.is_dir():
        folder.mkdir(parents=True)
        if (owner := trainer_owner()) is not None:
            owner.take(folder)
            owner.take(folder.parent)
    return folder


def _cache() -> Path:
    """The datasets that trainers share on this machine: theirs to write."""
    folder = Path(settings.DATASET_CACHE_DIR)
    owner = trainer_owner()
    if owner is not None and not folder.is_dir():
        folder.mkdir(parents=True)
        owner.take(folder)
    return folder


def trainer_python(trainer: str) -> str:
    """The interpreter of a trainer: its own, where it has an environment of its own."""
    own = Path(settings.TRAINERS_DIR) / trainer / ".venv" / "bin" / "python"
    return str(own) if own.exists() else sys.executable
