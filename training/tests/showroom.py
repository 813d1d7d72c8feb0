"""The platform in full use, for tests that look at every page: a team, data, jobs in every state and more."""

import math
import random
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from django.contrib.auth.tokens import default_token_generator
from django.core import signing
from django.urls import reverse
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from training.datasets.demo import demo_dataset_write
from training.datasets.services import dataset_import
from training.journal.payloads import Item
from training.journal.rollup import rollup_update
from training.models import (
    Checkpoint,
    Dataset,
    DatasetImport,
    ErrorType,
    ExperimentTag,
    InferenceJob,
    JobAttempt,
    JobState,
    JobTag,
    LogLevel,
    MetricSummary,
    Role,
    Slot,
    TrainingJob,
    User,
    Worker,
)
from training.people.accounts import EMAIL, SIGN_UP
from training.people.audit import audit
from training.people.invitations import invitation_create
from training.tests.conftest import job_make, person
from training.tests.journal_entries import event, lines, metrics, tell
from training.tests.test_authorization import objects_make, organization_make

NOTES = "## What we try\n\n* larger pictures\n* a **smaller** batch\n\n| size | mAP |\n|---|---|\n| 128 | 0.71 |\n"
STATES = {
    "Digits, 128 px": JobState.RUNNING,
    "Digits, 96 px": JobState.COMPLETED,
    "Digits, learning rate 0.02": JobState.COMPLETED,
    "Digits, batch 256": JobState.FAILED,
    "Digits, no mosaic": JobState.CANCELLED,
    "Digits, 160 px": JobState.QUEUED,
    "Night run": JobState.LOST,
    "Draft of a sweep": JobState.DRAFT,
}
OVER = (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED)
BEST = "metrics/mAP50-95(B)"
EPOCHS, STEPS = 16, 20  # of a whole run
AHEAD = timedelta(minutes=15)  # in place of trainers and workers that are heard while the pages are looked at


def showroom(folder: Path) -> SimpleNamespace:
    """All of it, seen by `boss`: `made` fills in the parameters of routes, `jobs` are those of STATES by name."""
    ours = organization_make("ours")
    boss = ours.people[Role.ADMIN]
    boss.username, boss.is_staff, boss.is_superuser = "kim", True, True
    boss.save()
    made = objects_make(ours, boss)
    for thing, name in (
        (ours.organization, "Vision team"),
        (ours.project, "Reading digits"),
        (ours.experiment, "Size"),
    ):
        thing.name = name
        thing.save()
    begun = {made.second: "Bottles, first try", made.job: "Bottles, second try", made.weights: "yolo11n, bottles"}
    begun |= {made.dataset: "Bottles", made.key: "Nightly report", made.preset: "Small and quick"}
    for thing, name in begun.items():
        thing.name = name
        thing.save()
    made.inference.delete()
    made.asked.delete()
    ours.experiment.notes = NOTES
    ours.experiment.save()
    ExperimentTag.objects.create(experiment=ours.experiment, name="baseline")
    data = dataset_import(ours.organization, "Digits", demo_dataset_write(folder / "digits"), boss, anywhere=True)
    made.dataset = data
    jobs = {name: job_in(state, name, ours, data, number) for number, (name, state) in enumerate(STATES.items())}
    worker_busy(jobs["Digits, 128 px"])
    made.job, made.second = jobs["Digits, 96 px"], jobs["Digits, learning rate 0.02"]
    made.inference = InferenceJob.objects.create(
        job=made.job, picture_name="a.png", content_type="image/png", width=9, height=9, created_by=boss
    )
    made.asked = imports_make(ours, boss)
    with_links(made, ours, boss)
    return SimpleNamespace(ours=ours, boss=boss, made=made, data=data, jobs=jobs, newcomer=person("newcomer"))


def job_in(state: JobState, name: str, ours: SimpleNamespace, data: Dataset, number: int) -> TrainingJob:
    """A job with all that one in this state has said until now."""
    now = timezone.now()
    told: dict[str, Any] = {
        "dataset": data,
        "config": {"epochs": EPOCHS, "batch": 16 << (number % 3), "imgsz": 96 + 32 * number},
    }
    told |= {"created_by": ours.people[Role.ADMIN], "queued_at": now - timedelta(minutes=45)}
    if state == JobState.FAILED:
        told |= {"error_type": ErrorType.RESOURCE_ERROR, "error_code": "gpu_memory"}
        told |= {"error_message": "CUDA out of memory. Tried to allocate 2.50 GiB.", "state_reason": "out of memory"}
    job = job_make(ours, state, name=name, **told)
    JobTag.objects.create(organization=ours.organization, job=job, name="baseline")
    tell(job, event(type="state", **{"from": "draft", "to": "queued", "by": "user", "who": "kim", "reason": ""}))
    if state in (JobState.DRAFT, JobState.QUEUED):
        return job
    began = now - timedelta(minutes=42)
    times = {"opened_at": began, "lease_until": now + AHEAD, "heartbeat_at": now + AHEAD}
    attempt = JobAttempt.objects.create(job=job, number=1, device="NVIDIA H200", total_epochs=EPOCHS, **times)
    job.attempt, job.started_at, job.ended_at = 1, began, now if state in OVER else None
    job.save()
    epochs = EPOCHS if state == JobState.COMPLETED else 9
    said = training_of(number, began.timestamp(), epochs, 42 * 60 / epochs)
    tell(job, *said)
    rollup_update(job.pk)
    summaries_make(job, said)
    for kind in ("best", "last"):
        file = {"key": f"jobs/{job.pk}/{kind}.pt", "size": 5_400_000, "sha256": "0" * 64, "epoch": epochs}
        Checkpoint.objects.create(job=job, attempt=attempt, kind=kind, **file)
    return job


def training_of(number: int, began: float, epochs: int, each: float) -> list[Item]:
    """What a trainer reports: losses by step, scores and the machine's load by epoch, and some lines."""
    chance = random.Random(number)
    said: list[Item] = []
    for epoch in range(epochs):
        for step in range(epoch * STEPS, (epoch + 1) * STEPS):
            loss = 0.4 + 3 / (1 + step / (20 + 4 * number)) + chance.gauss(0, 0.05)
            at = began + each * step / STEPS
            said.append(
                metrics(step, epoch, at, train__box_loss=loss, train__cls_loss=loss * 1.7, lr__pg0=0.01 - step / 1e5)
            )
        at, learned = began + each * (epoch + 1), 1 - math.exp(-(epoch + 1) / (4 + number))
        scores = {"val__box_loss": 3.2 - 2.6 * learned, BEST: 0.8 * learned, "metrics/recall(B)": 0.95 * learned}
        load = {"system__cpu": 61.0 + epoch, "system__gpu.0.utilization": 93.0, "system__gpu.0.memory_gib": 12.4}
        never = {"val__cls_loss": math.nan if (number, epoch) == (3, 3) else 4 - 3 * learned}
        said.append(metrics(epoch * STEPS + STEPS - 1, epoch, at, **scores, **load, **never))
        said.append(lines(f"epoch {epoch + 1}/{EPOCHS}: mAP50-95 \x1b[32m{0.8 * learned:.4f}\x1b[0m"))
    said.append(lines("cache is full, images are read from disk", level=LogLevel.WARNING))
    said.append(lines("one picture could not be read: train-0007.png", level=LogLevel.ERROR, source="stderr"))
    return said


def summaries_make(job: TrainingJob, said: list[Item]) -> None:
    """What the follower would make of it; tests of this app don't know the followers."""
    scores = [one for one in said if BEST in getattr(one, "names", ())]
    for name, best in {BEST: 0.8 - job.pk / 1000, "val/box_loss": 0.6 + job.pk / 1000}.items():
        facts = {"count": len(scores), "latest": best, "best": best, "best_epoch": len(scores) - 1}
        MetricSummary.objects.create(job=job, name=name, **facts)


def worker_busy(job: TrainingJob) -> None:
    now = timezone.now()
    worker = Worker.objects.create(
        name="gpu-1", host="gpu-1.example", version="1.0", started_at=now, seen_at=now + AHEAD
    )
    attempt = job.attempts.get()
    attempt.worker = worker
    attempt.save()
    gib = 1 << 30
    for device, on in (("0", attempt), ("1", None)):
        memory = {"memory_free": 126 * gib, "memory_total": 139 * gib}
        Slot.objects.create(worker=worker, device=device, label="NVIDIA H200", attempt=on, **memory)


def imports_make(ours: SimpleNamespace, boss: User) -> DatasetImport:
    told = {"organization": ours.organization, "created_by": boss, "source": "/data/bottles"}
    asked = DatasetImport.objects.create(
        **told, name="Bottles at night", state="running", stage="Copying", done=40, total=100
    )
    DatasetImport.objects.create(**told, name="Cans", state="failed", error="There are no labels in this folder.")
    return asked


def with_links(made: SimpleNamespace, ours: SimpleNamespace, boss: User) -> None:
    """The addresses that come by letter, each with a token that holds."""
    made.invitation, page = invitation_create(ours.organization, "lee@example.com", Role.GUEST, boss)
    guest = ours.people[Role.GUEST]  # who signs in needs no letter: its link ends then
    user_key = urlsafe_base64_encode(force_bytes(guest.pk))
    made.letters = {
        "sign-up-finish": reverse(
            "sign-up-finish", args=[signing.dumps("new@example.com", salt=SIGN_UP, compress=True)]
        ),
        "email-confirm": reverse(
            "email-confirm", args=[signing.dumps([boss.pk, boss.email, "kim2@example.com"], salt=EMAIL, compress=True)]
        ),
        "invitation-page": page,
        "password-reset-confirm": reverse(
            "password-reset-confirm", args=[user_key, default_token_generator.make_token(guest)]
        ),
    }
    audit("project.edit", ours.project, by=boss, old={"name": "Digits"}, new={"name": ours.project.name})
