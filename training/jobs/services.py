"""What people do with jobs: create, queue, cancel, restart. Each is one transaction and a recorded event."""

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from training.datasets.scan import DatasetError
from training.datasets.snapshot import snapshot_take
from training.jobs.backends import backends_chosen
from training.jobs.resume import checkpoint_resumable, place_of, resume_problem, weights_from_check
from training.jobs.states import ENDED
from training.jobs.transition import NotAllowed, job_locked, job_move
from training.jobs.watch_options import WatchOptions
from training.journal.writer import append_event
from training.models import (
    Checkpoint,
    Dataset,
    DatasetSnapshot,
    ErrorType,
    Experiment,
    ImportedRun,
    JobAttempt,
    JobState,
    JobWatch,
    Organization,
    PretrainedWeights,
    Priority,
    TrainingJob,
    User,
)
from training.people.audit import audit, audit_changes
from training.people.roles import Action, require
from training.projects.services import experiment_open
from training.trainers import Trainer, trainer_get
from training.weights import weights_check

BEGINNING, LAST = "beginning", "last"
BOTH_WEIGHTS = _("A job starts from kept weights or from another job's weights, not from both: leave one out.")
NOTHING_TO_CANCEL = {
    JobState.DRAFT: _("This job is a draft: there is nothing to cancel."),
    JobState.COMPLETED: _("This job has completed already: there is nothing to cancel."),
    JobState.FAILED: _("This job has failed already: there is nothing to cancel."),
    JobState.CANCELLED: _("This job has been cancelled already: there is nothing to cancel."),
}


def job_create(
    *,
    user: User,
    experiment: Experiment,
    trainer: str,
    model_name: str,
    dataset: Dataset | None,
    weights: PretrainedWeights | None = None,
    config: dict[str, Any],
    name: str = "",
    task_type: str = "",
    observability_backends: Sequence[str] | None = None,
    idempotency_key: str | None = None,
    weights_from: Checkpoint | None = None,
    time_limit_hours: float | None = None,
    memory_limit_gb: float | None = None,
    priority: int = Priority.NORMAL,
    parent: TrainingJob | None = None,
    watch: WatchOptions | None = None,
) -> TrainingJob:
    """A new job, queued, with the snapshot of its data; told to all configured backends, or to those chosen.

    Its `parent` is the job that it was cloned from. With `weights`, kept ones,
    or `weights_from`, a checkpoint of a completed job that becomes its parent,
    it starts from those, and the model is what they hold. A repeated request
    with the same idempotency key gives the job that the first one made.
    Raises ValidationError with a message per field.
    """
    if idempotency_key and (
        made := TrainingJob.objects.filter(created_by=user, idempotency_key=idempotency_key).first()
    ):
        return made
    experiment_open(experiment)
    manifest = trainer_get(trainer)
    task = task_type or (dataset.task_type if dataset else manifest.tasks[0])
    if weights is not None and weights_from is not None:
        raise ValidationError({"pretrained": BOTH_WEIGHTS})
    model_name = _model_named(manifest, task, model_name, weights, weights_from)
    if weights is not None:
        weights_check(weights, manifest, task, experiment.project.organization_id)
    cleaned = manifest.config_clean(config)
    if dataset is not None and dataset.organization_id != experiment.project.organization_id:
        raise ValidationError({"dataset": gettext("There is no such dataset.")})
    if weights_from is not None:
        weights_from_check(weights_from, experiment.project.organization_id, trainer, task)
    limits_check(time_limit_hours, memory_limit_gb)
    watched = (watch or WatchOptions()).fields(manifest, task)
    backends = backends_chosen(observability_backends)
    manifest.data_clean(dataset)
    snapshot = _snapshot(dataset) if dataset else None
    try:
        with transaction.atomic():
            job = TrainingJob.objects.create(
                experiment=experiment,
                name=(name or f"{model_name} on {dataset}" if dataset else name or model_name)[:200],
                trainer=trainer,
                task_type=task,
                model_name=model_name,
                dataset=dataset,
                snapshot=snapshot,
                weights=weights,
                config=cleaned,
                queue="cpu" if cleaned.get("device") == "cpu" else "gpu",
                observability_backends=backends,
                parent=weights_from.job if weights_from else parent,
                weights_from=weights_from,
                time_limit_hours=time_limit_hours,
                memory_limit_gb=memory_limit_gb,
                priority=priority_checked(user, experiment, priority),
                created_by=user,
                idempotency_key=idempotency_key,
                **watched,
            )
            audit("job.create", job, by=user, new=_facts(job))
            return _job_queue(job.pk, user, "asked for")
    except IntegrityError:  # the same request, at the same time
        return TrainingJob.objects.get(created_by=user, idempotency_key=idempotency_key)


def _model_named(
    manifest: Trainer, task: str, model: str, weights: PretrainedWeights | None, source: Checkpoint | None
) -> str:
    """What the job's model is called: after the weights that take its place, or as asked for where there are none."""
    if weights is not None:
        return weights.name
    if source is not None:
        return source.job.model_name
    manifest.model_clean(task, model)
    return model


def limits_check(time_limit_hours: float | None, memory_limit_gb: float | None) -> None:
    """Raise ValidationError with a message per limit that is none."""
    limits = {"time_limit_hours": time_limit_hours, "memory_limit_gb": memory_limit_gb}
    wrong = [name for name, limit in limits.items() if limit is not None and not 0 < limit < 1e6]
    if wrong:
        raise ValidationError(
            {name: gettext("%(name)s must be above 0 and below a million.") % {"name": name} for name in wrong}
        )


def _snapshot(dataset: Dataset) -> DatasetSnapshot:
    try:
        return snapshot_take(dataset)
    except DatasetError as error:
        raise ValidationError({"dataset": str(error)}) from error


def job_start(job: TrainingJob, user: User) -> TrainingJob:
    """Queue a draft. Once it is queued, a repeat changes nothing; raises NotAllowed after that."""
    with job_locked(job.pk) as locked:
        _not_imported(locked)
        if locked.state == JobState.DRAFT:
            job_move(locked, JobState.QUEUED, "user", "started", user.get_username())
            audit("job.start", locked, by=user, old={"state": JobState.DRAFT}, new={"state": locked.state})
        elif locked.state != JobState.QUEUED:
            raise NotAllowed(gettext("Only a draft can be started; a job that has ended can be restarted."))
    return locked


def job_cancel(job: TrainingJob, user: User, reason: str = "") -> TrainingJob:
    """Stop a job: at once while it waits, else by asking its trainer. A second cancel changes nothing.

    Raises NotAllowed if the job has ended.
    """
    with job_locked(job.pk) as locked:
        if locked.state == JobState.CANCELLING:
            return locked
        who, before = user.get_username(), locked.state
        if locked.state in (*ENDED, JobState.DRAFT):
            raise NotAllowed(str(NOTHING_TO_CANCEL[JobState(locked.state)]))
        if locked.state == JobState.QUEUED:
            job_move(locked, JobState.CANCELLED, "user", reason, who, error_type=ErrorType.CANCELLED)
        else:
            job_move(locked, JobState.CANCELLING, "user", reason or "cancel asked for", who)
            JobAttempt.objects.filter(job=locked, number=locked.attempt).update(cancel_requested_at=Now())
        audit("job.cancel", locked, by=user, old={"state": before}, new={"state": locked.state, "reason": reason})
    return locked


def job_prioritize(job: TrainingJob, user: User, priority: int) -> TrainingJob:
    """Move a job up or down in its queue, as a recorded event; also before it is queued again.

    Raises ValidationError for what is no priority, and PermissionDenied for `high` without the role.
    """
    wanted = priority_checked(user, job, priority)
    with job_locked(job.pk) as locked:
        if locked.priority != wanted:
            text = f"{Priority(locked.priority).name.capitalize()} → {wanted.name.capitalize()}"
            TrainingJob.objects.filter(pk=job.pk).update(priority=wanted)
            told: dict[str, object] = {"type": "settings", "title": "Priority changed", "text": text}
            append_event(job.pk, {**told, "who": user.get_username()})
            audit_changes("job.prioritize", locked, {"priority": locked.priority}, {"priority": wanted}, by=user)
            locked.priority = wanted
    return locked


def priority_checked(user: User, what: Organization | Experiment | TrainingJob, priority: int) -> Priority:
    """A priority that this person may give; one that the job has already needs no right.

    Raises ValidationError for what is no priority, and PermissionDenied for `high` without the role.
    """
    if priority not in Priority.values:
        raise ValidationError({"priority": gettext("A priority is low, normal or high.")})
    if priority == Priority.HIGH and getattr(what, "priority", Priority.NORMAL) != Priority.HIGH:
        require(user, Action.USE_HIGH_PRIORITY, what)
    return Priority(priority)


def job_restart(
    job: TrainingJob, user: User, source: str = BEGINNING, changes: dict[str, Any] | None = None
) -> TrainingJob:
    """Run an ended job again as a new attempt: from the `beginning`, or from its `last` checkpoint.

    `changes` of its settings are recorded as an event. Raises NotAllowed while
    it runs or where there is no such checkpoint, and ValidationError for a
    setting that won't do; the job is then as it was.
    """
    _not_imported(job)
    with job_locked(job.pk) as locked:
        if locked.state not in ENDED:
            raise NotAllowed(
                gettext("A job that is %(label)s can't be restarted.") % {"label": JobState(locked.state).label.lower()}
            )
        if source == LAST and (problem := resume_problem(locked)):
            raise NotAllowed(problem)
        start = checkpoint_resumable(locked) if source == LAST else None
        config = _config_changed(locked, user, changes or {})
        reason = f"resumed {place_of(start)}" if start else "restarted from the beginning"
        # what was found before is known to whoever asks: NaN and patience count anew
        JobWatch.objects.update_or_create(job=locked, defaults={"after_attempt": locked.attempt})
        before = {"state": locked.state, "config": locked.config}
        fields = {"granted_from": locked.attempt, "resume_from": start, "config": config}
        job_move(locked, JobState.QUEUED, "user", reason, user.get_username(), **fields)
        audit_changes("job.restart", locked, before, {"state": locked.state, "config": config}, by=user)
    return locked


def _config_changed(job: TrainingJob, user: User, changes: dict[str, Any]) -> dict[str, Any]:
    """The job's settings with `changes`, which are recorded. The job's row is locked."""
    changed = {name: value for name, value in changes.items() if job.config.get(name) != value}
    if not changed:
        return dict(job.config)
    config = trainer_get(job.trainer).config_clean({**job.config, **changed})
    text = ", ".join(f"{name} {job.config.get(name)} → {value}" for name, value in changed.items())
    told = {"type": "settings", "title": "Settings changed", "text": text, "changes": changed}
    append_event(job.pk, {**told, "who": user.get_username()})
    return config


def _facts(job: TrainingJob) -> dict[str, Any]:
    """What was asked for, for the audit log."""
    names = ("name", "experiment", "trainer", "task_type", "model_name", "dataset", "config")
    return {name: getattr(job, name) for name in names}


def _not_imported(job: TrainingJob) -> None:
    if ImportedRun.objects.filter(job=job).exists():
        raise NotAllowed(
            gettext("This job was imported from another tool: what ran there can't run here. Clone it instead.")
        )


def _job_queue(job_id: int, user: User, reason: str) -> TrainingJob:
    with job_locked(job_id) as job:
        job_move(job, JobState.QUEUED, "user", reason, user.get_username())
    return job
