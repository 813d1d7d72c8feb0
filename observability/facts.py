"""What adapters are told of a job, beside its records."""

from typing import Any

from django.conf import settings
from django.urls import reverse

from observability.base import Ending, JobFacts, LogLine
from observability.summary import summary_update
from training.journal.reader import Record
from training.models import Checkpoint, LogLevel, MetricSummary, TrainingJob, TrainingLog

RELATED = ("experiment__project__organization", "dataset", "snapshot", "created_by")


def job_facts(job: TrainingJob) -> JobFacts:
    project = job.experiment.project
    return JobFacts(
        job_id=job.pk,
        name=job.name,
        organization=project.organization.name,
        project=project.name,
        experiment=job.experiment.name,
        trainer=job.trainer,
        task_type=job.task_type,
        model_name=job.model_name,
        dataset=job.dataset.name if job.dataset else "",
        dataset_version_hash=job.snapshot.version_hash if job.snapshot else "",
        created=job.created_at.timestamp(),
        created_by=job.created_by.get_username() if job.created_by else "",
        url=f"{settings.SITE_URL}{reverse('job-page', args=[job.pk])}",
    )


def job_ending(job: TrainingJob) -> Ending:
    """How the job ended. Brings the summaries up to date first: another backend's lane may be behind."""
    summary_update(job)
    latest = MetricSummary.objects.filter(job=job, latest__isnull=False).values_list("name", "latest")
    error = job.error_message if job.state == "failed" else ""
    ended = job.ended_at.timestamp() if job.ended_at else None
    return Ending(job.state, {name: value for name, value in latest if value is not None}, error, ended)


def log_line(row: TrainingLog) -> LogLine:
    return LogLine(row.seq, row.time, LogLevel(row.level).label, row.source, row.message)


def checkpoint_told(job: TrainingJob, record: Record) -> tuple[str, str, dict[str, Any]] | None:
    """(name, address, metadata) of the checkpoint that an event tells of; None if a newer one has replaced it."""
    event = record.event or {}
    if event.get("type") != "checkpoint":
        return None
    same = {"kind": event.get("kind"), "epoch": event.get("epoch"), "size": event.get("size")}
    checkpoint = Checkpoint.objects.filter(job=job, attempt__number=record.attempt, **same).first()
    if checkpoint is None:
        return None
    address = f"{settings.SITE_URL}{reverse('checkpoint-download', args=[checkpoint.pk])}"
    metadata = same | {"attempt": record.attempt, "sha256": checkpoint.sha256, "metrics": checkpoint.metrics}
    name = f"{checkpoint.kind}-{checkpoint.epoch}" if checkpoint.kind == "epoch" else checkpoint.kind
    return name, address, metadata
