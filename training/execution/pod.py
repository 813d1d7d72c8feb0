"""A trainer's Job and Secret, as they are told to a Kubernetes cluster: pure descriptions, nothing is asked here.

The pod has two containers that share a folder of the node: `trainer`, and `courier`, which sends what the spool still
holds once the trainer's container is gone, whatever ended it (`trainers/sdk/pod.py`).
"""

import re
from typing import Any

from django.conf import settings

from training.execution.executor import DRAIN_SECONDS
from training.execution.launch import trainer_variables
from training.jobs.slots import slots_gpus
from training.models import JobAttempt, Worker
from training.trainers import trainer_get

TRAINER = "trainer"
COURIER = "courier"
PREFIX = "training-platform/"
ROOT, CACHE = "/training", "/cache"
PROGRAM = ["python", "trainers/sdk/pod.py"]
FINISHED_SECONDS = 3600  # until the cluster removes what has ended
USER = 1000


def pod_name(attempt: JobAttempt) -> str:
    """The name of an attempt's Job and Secret."""
    return f"training-{attempt.job_id}-{attempt.number}"


def label_of(worker: Worker | None) -> str:
    """A worker's name as the value of a label (at most 63 letters, digits, `-_.`)."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", worker.name if worker else "none")[:63].strip("-_.") or "worker"


def image_of(trainer: str) -> str:
    """The image of a trainer: `TRAINER_IMAGE_REGISTRY/NAME:TRAINER_IMAGE_TAG`."""
    return f"{settings.TRAINER_IMAGE_REGISTRY.rstrip('/')}/{trainer}:{settings.TRAINER_IMAGE_TAG}"


def secret_of(attempt: JobAttempt, owner: dict[str, str]) -> dict[str, Any]:
    """The attempt's token. The cluster removes it together with its Job, whose `name` and `uid` are `owner`."""
    reference = {"apiVersion": "batch/v1", "kind": "Job", **owner}
    metadata = {"name": pod_name(attempt), "labels": _labels(attempt), "ownerReferences": [reference]}
    token = _variables(attempt)["CALLBACK_TOKEN"]
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"token": token}}


def job_of(attempt: JobAttempt) -> dict[str, Any]:
    """One pod, never started again by the cluster: the platform decides what comes after an attempt."""
    hours = attempt.job.time_limit_hours or settings.TIME_LIMIT_HOURS
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": pod_name(attempt), "labels": _labels(attempt)},
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "podReplacementPolicy": "Failed",
            "ttlSecondsAfterFinished": FINISHED_SECONDS,
            # the worker ends it long before: this is for a pod whose worker never comes back
            "activeDeadlineSeconds": int(hours * 3600 + settings.K8S_START_SECONDS + FINISHED_SECONDS),
            "template": {"metadata": {"labels": _labels(attempt)}, "spec": _pod(attempt)},
        },
    }


def _pod(attempt: JobAttempt) -> dict[str, Any]:
    claim = settings.K8S_CACHE_CLAIM
    volumes = [
        {"name": "training", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory"}},
        {"name": "cache", "persistentVolumeClaim": {"claimName": claim}}
        if claim
        else {"name": "cache", "emptyDir": {}},
    ]
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": int(settings.TERM_GRACE_SECONDS + DRAIN_SECONDS) + 5,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": volumes,
        "containers": [_trainer(attempt), _courier(attempt)],
    }


def _trainer(attempt: JobAttempt) -> dict[str, Any]:
    grace, silence = settings.TERM_GRACE_SECONDS, settings.LEASE_SECONDS
    probe = [*PROGRAM, "alive", "--seconds", f"{silence:g}"]
    mounts = {"training": ROOT, "shm": "/dev/shm", "cache": CACHE}
    trainer = trainer_get(attempt.job.trainer)
    command = [*PROGRAM, "hold", "--seconds", f"{grace:g}", "--", "python", "-m", trainer.module]
    return _container(TRAINER, attempt, command, mounts) | {
        "resources": {"limits": _limits(attempt)},
        "livenessProbe": {
            "exec": {"command": probe},
            "periodSeconds": max(1, int(settings.HEARTBEAT_SECONDS)),
            "timeoutSeconds": 10,
            "failureThreshold": 1,
            "terminationGracePeriodSeconds": max(1, int(grace)),
        },
    }


def _courier(attempt: JobAttempt) -> dict[str, Any]:
    command = [*PROGRAM, "courier", "--seconds", f"{DRAIN_SECONDS:g}"]
    return _container(COURIER, attempt, command, {"training": ROOT})


def _container(name: str, attempt: JobAttempt, command: list[str], mounts: dict[str, str]) -> dict[str, Any]:
    secret = {"secretKeyRef": {"name": pod_name(attempt), "key": "token"}}
    variables = _variables(attempt)
    return {
        "name": name,
        "image": image_of(attempt.job.trainer),
        "command": command,
        "env": [
            {"name": key, "valueFrom": secret} if key == "CALLBACK_TOKEN" else {"name": key, "value": value}
            for key, value in variables.items()
        ],
        "volumeMounts": [{"name": volume, "mountPath": path} for volume, path in mounts.items()],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }


def _limits(attempt: JobAttempt) -> dict[str, str]:
    limits = {}
    if gpus := len(slots_gpus(attempt)):
        limits[settings.K8S_GPU_RESOURCE] = str(gpus)
    if gigabytes := attempt.job.memory_limit_gb or settings.MEMORY_LIMIT_GB:
        limits["memory"] = str(int(gigabytes * 1e9))
    return limits


def _variables(attempt: JobAttempt) -> dict[str, str]:
    return trainer_variables(attempt, lambda name: f"{ROOT}/{name}", CACHE)


def _labels(attempt: JobAttempt) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "trainer",
        "app.kubernetes.io/managed-by": "training-platform",
        PREFIX + "job": str(attempt.job_id),
        PREFIX + "attempt": str(attempt.number),
        PREFIX + "worker": label_of(attempt.worker),
    }
