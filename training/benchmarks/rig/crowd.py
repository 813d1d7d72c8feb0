"""A program that fills a database with the jobs and datasets of a large organization, and prints ids as JSON."""

import json
import os
import random
import struct
import sys
from datetime import timedelta
from typing import Any

import django

METRICS = (
    *("train/box_loss", "train/cls_loss", "val/box_loss", "val/cls_loss"),
    *("metrics/precision(B)", "metrics/recall(B)", "metrics/mAP50(B)", "metrics/mAP50-95(B)"),
)
RECORDS = 200  # of a job that has points
PROJECTS, EXPERIMENTS, PEOPLE = 40, 5, 30
RUNNING, WAITING = 30, 60
BATCH = 2000
CLASSES = 80  # of a dataset, each with its counts in the report


def crowd_make(jobs: int, datasets: int, with_points: int) -> dict[str, Any]:
    """Projects, experiments, people, datasets and jobs in every state, with attempts, tags and summaries."""
    from django.db import transaction

    from training.models import Organization

    random.seed(7)
    organization = Organization.objects.get(slug="benchmark")
    with transaction.atomic():
        people, experiments = people_make(organization), experiments_make(organization)
        data = datasets_make(organization, people, datasets)
        made = jobs_make(people, experiments, data, jobs)
        attempts_make(made)
        tags_make(organization, made)
        summaries_make(made)
    told = [job for job in made if job.attempt][:with_points]
    points_make(told)
    analyze()
    middle = [job for job in told if job.state == "completed" and job.deleted_at is None][len(told) // 4]
    ids = {"organization": organization.pk}
    return ids | {
        "job": middle.pk,
        "project": experiments[0].project_id,
        "experiment": experiments[0].pk,
        "dataset": data[0].pk,
        "rows": len(made),
    }


def people_make(organization: Any) -> list[Any]:
    from training.models import Membership, User

    people = User.objects.bulk_create([User(username=f"person-{n}", email=f"p{n}@example.com") for n in range(PEOPLE)])
    Membership.objects.bulk_create(Membership(user=one, organization=organization) for one in people)
    return people


def experiments_make(organization: Any) -> list[Any]:
    from training.models import Experiment, Project

    wanted = [Project(organization=organization, name=f"Project {n}") for n in range(PROJECTS)]
    projects = Project.objects.bulk_create(wanted)
    names = [(project, f"Experiment {n}") for project in projects for n in range(EXPERIMENTS)]
    return Experiment.objects.bulk_create([Experiment(project=project, name=name) for project, name in names])


def datasets_make(organization: Any, people: list[Any], count: int) -> list[Any]:
    from training.models import Dataset

    classes = [f"class {n}" for n in range(CLASSES)]
    counts = [{"name": name, "instances": {"train": 40, "val": 10}} for name in classes]
    report = {"images": 1000, "instances": 50 * CLASSES, "splits": {"train": 800, "val": 200}, "classes": counts}
    report |= {"problems": [f"images/{n}.jpg: its label has a bad line" for n in range(100)], "problem_count": 100}
    same = {"organization": organization, "format": "yolo", "task_type": "detection", "report": report}
    made = [
        Dataset(name=f"Bottles {n}", prefix=f"datasets/{n}", classes=classes, created_by=people[n % PEOPLE], **same)
        for n in range(count)
    ]
    return Dataset.objects.bulk_create(made, batch_size=BATCH)


def jobs_make(people: list[Any], experiments: list[Any], data: list[Any], count: int) -> list[Any]:
    from django.utils import timezone

    from training.models import TrainingJob

    now, made = timezone.now(), []
    for number in range(count):
        age = timedelta(minutes=7 * (count - number))
        state = state_of(number, count)
        started = now - age if state != "queued" else None
        ended = now - age + timedelta(minutes=random.randint(5, 600)) if state in ENDED else None
        config = {"epochs": random.choice((10, 50, 100)), "batch": random.choice((8, 16)), "imgsz": 640, "lr0": 0.01}
        job = TrainingJob(
            experiment=experiments[number % len(experiments)],
            name=f"Bottles run {number}",
            trainer="ultralytics" if number % 5 else "example",
            task_type="detection",
            model_name=random.choice(("yolo11n.yaml", "yolo11s.yaml", "yolov8n.yaml")),
            dataset=data[number % len(data)],
            config=config,
            state=state,
            attempt=0 if state == "queued" else 1,
            created_by=people[number % PEOPLE],
            queued_at=now - age,
            started_at=started,
            ended_at=ended,
            archived_at=now if number % 10 == 3 and state in ENDED else None,
            deleted_at=now if number % 50 == 7 and state in ENDED else None,
            error_type="RESOURCE_ERROR" if state == "failed" else "",
            error_message="CUDA out of memory. Tried to allocate 2.00 GiB" if state == "failed" else "",
        )
        made.append(job)
    TrainingJob.objects.bulk_create(made, batch_size=BATCH)
    return made


ENDED = ("completed", "failed", "cancelled")


def state_of(number: int, count: int) -> str:
    """The newest wait, those before them run, all others have ended."""
    if number >= count - WAITING:
        return "queued"
    if number >= count - WAITING - RUNNING:
        return "running"
    return ("completed", "completed", "completed", "failed", "cancelled")[number % 5]


def attempts_make(jobs: list[Any]) -> None:
    from datetime import UTC, datetime

    from training.models import JobAttempt

    later = datetime.now(UTC) + timedelta(days=1)  # no worker renews a lease, and none shall find one lost
    JobAttempt.objects.bulk_create(
        [
            JobAttempt(
                job=job,
                number=1,
                opened_at=job.started_at,
                started_at=job.started_at,
                ended_at=job.ended_at,
                lease_until=later,
                heartbeat_at=job.ended_at or job.started_at,
                total_epochs=RECORDS,
            )
            for job in jobs
            if job.attempt
        ],
        batch_size=BATCH,
    )


def tags_make(organization: Any, jobs: list[Any]) -> None:
    from training.models import JobTag

    words = [f"tag {n}" for n in range(100)]
    tags = [JobTag(organization=organization, job=job, name=word) for job in jobs for word in random.sample(words, 2)]
    JobTag.objects.bulk_create(tags, batch_size=BATCH)


def summaries_make(jobs: list[Any]) -> None:
    from training.models import MetricSummary

    made = []
    for job in jobs:
        for name in METRICS if job.attempt else ():
            best = random.random()
            made.append(MetricSummary(job=job, name=name, count=RECORDS, first=1.0, latest=best, best=best))
    MetricSummary.objects.bulk_create(made, batch_size=BATCH)


def points_make(jobs: list[Any]) -> None:
    """RECORDS reports of all METRICS in the journal of each of these jobs."""
    from django.db import transaction

    from training.journal.names import names_intern
    from training.journal.rows import Batch, insert

    names = names_intern({METRICS})[METRICS]
    for job in jobs:
        begin, batch = job.started_at.timestamp(), Batch()
        for seq in range(1, RECORDS + 1):
            values = struct.pack(f"<{len(METRICS)}d", *(random.random() for _ in METRICS))
            batch.records.append((job.pk, seq, 1, seq, 1, begin + seq, seq * 10, seq, names, values))
        with transaction.atomic():
            insert(batch)


def analyze() -> None:
    """What PostgreSQL does by itself after a while."""
    from django.db import connection

    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "platform_site.settings")
    django.setup()
    sys.stdout.write(json.dumps(crowd_make(*map(int, sys.argv[1:4]))))
