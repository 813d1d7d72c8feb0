"""What the platform hands to a trainer: the variables of docs/trainer-protocol.md, read and checked once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trainers.sdk.errors import SettingError


@dataclass(frozen=True)
class StartingPoint:
    """A checkpoint to begin with: the name to ask for, its checksum, and how far it had come (None if not told)."""

    name: str
    sha256: str
    epoch: int | None = None
    step: int | None = None

    @classmethod
    def read(cls, given: Mapping[str, str], prefix: str) -> StartingPoint | None:
        """`RESUME_CHECKPOINT` and so on; None where there is none. Raises SettingError."""
        if not (name := given.get(f"{prefix}_CHECKPOINT")):
            return None
        epoch, step = (_whole(given, f"{prefix}_{what}") for what in ("EPOCH", "STEP"))
        return cls(name, given.get(f"{prefix}_SHA256", ""), epoch, step)


@dataclass(frozen=True)
class AttemptEnvironment:
    """One attempt's environment. Times are seconds, sizes are gigabytes of 10^9 bytes."""

    callback_url: str
    callback_token: str
    job_id: int
    attempt: int
    operation: str
    task_type: str
    model_name: str
    framework: str
    dataset_id: str
    snapshot_id: str
    dataset_version_hash: str
    callback_interval: int
    heartbeat_seconds: float
    spool_dir: Path
    work_dir: Path
    dataset_cache_dir: Path
    dataset_cache_max_gb: float
    checkpoint_seconds: float
    resume: StartingPoint | None
    weights: StartingPoint | None
    allow_hub_downloads: bool

    @classmethod
    def read(cls, variables: Mapping[str, str] | None = None) -> AttemptEnvironment:
        """Read the variables (of this process by default). Raises SettingError naming the first bad one."""
        given = os.environ if variables is None else variables
        work_dir = Path(_required(given, "WORK_DIR"))
        return cls(
            callback_url=_required(given, "CALLBACK_URL").rstrip("/"),
            callback_token=_required(given, "CALLBACK_TOKEN"),
            job_id=int(_number(given, "JOB_ID", "0")),
            attempt=int(_number(given, "ATTEMPT", "1")),
            operation=given.get("OPERATION", "train"),
            task_type=given.get("TASK_TYPE", "detection"),
            model_name=given.get("MODEL_NAME", ""),
            framework=given.get("FRAMEWORK", ""),
            dataset_id=given.get("DATASET_ID", ""),
            snapshot_id=given.get("SNAPSHOT_ID", ""),
            dataset_version_hash=given.get("DATASET_VERSION_HASH", ""),
            callback_interval=max(1, int(_number(given, "CALLBACK_INTERVAL", "1"))),
            heartbeat_seconds=max(0.05, _number(given, "HEARTBEAT_SECONDS", "10")),
            spool_dir=Path(_required(given, "SPOOL_DIR")),
            work_dir=work_dir,
            dataset_cache_dir=Path(given.get("DATASET_CACHE_DIR") or work_dir / "datasets"),
            dataset_cache_max_gb=_number(given, "DATASET_CACHE_MAX_GB", "50"),
            checkpoint_seconds=max(0.0, _number(given, "CHECKPOINT_SECONDS", "30")),
            resume=StartingPoint.read(given, "RESUME"),
            weights=StartingPoint.read(given, "WEIGHTS"),
            allow_hub_downloads=given.get("ALLOW_HUB_DOWNLOADS", "") == "true",
        )


def _required(given: Mapping[str, str], name: str) -> str:
    if not given.get(name):
        raise SettingError(f"{name} is not set: a trainer is started by the platform, with the variables it needs")
    return given[name]


def _whole(given: Mapping[str, str], name: str) -> int | None:
    return int(_number(given, name, "0")) if given.get(name) else None


def _number(given: Mapping[str, str], name: str, default: str) -> float:
    value = given.get(name) or default
    try:
        return float(value)
    except ValueError:
        raise SettingError(f"{name} must be a number, not {value!r}") from None
