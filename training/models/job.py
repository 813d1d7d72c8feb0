"""Training jobs: what was asked for. What happened to it is told by its attempts and its journal."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from training.models.dataset import Dataset, DatasetSnapshot
from training.models.project import Experiment
from training.models.visibility import OrganizationQuerySet
from training.models.weights import PretrainedWeights


class JobState(models.TextChoices):
    DRAFT = "draft", _("Draft")
    QUEUED = "queued", _("Queued")
    CLAIMED = "claimed", _("Starting")
    RUNNING = "running", _("Running")
    FINALIZING = "finalizing", _("Finalizing")
    COMPLETED = "completed", _("Completed")
    FAILED = "failed", _("Failed")
    LOST = "lost", _("Lost")
    CANCELLING = "cancelling", _("Cancelling")
    CANCELLED = "cancelled", _("Cancelled")


class Priority(models.IntegerChoices):
    LOW = -1, _("Low")
    NORMAL = 0, _("Normal")
    HIGH = 1, _("High")


class ErrorType(models.TextChoices):
    DATASET_ERROR = "DATASET_ERROR", _("Dataset")
    CONFIG_ERROR = "CONFIG_ERROR", _("Settings")
    RESOURCE_ERROR = "RESOURCE_ERROR", _("Resources")
    FRAMEWORK_ERROR = "FRAMEWORK_ERROR", _("Framework")
    STORAGE_ERROR = "STORAGE_ERROR", _("Storage")
    NETWORK_ERROR = "NETWORK_ERROR", _("Network")
    CANCELLED = "CANCELLED", _("Cancelled")
    UNKNOWN_ERROR = "UNKNOWN_ERROR", _("Unknown")


class TrainingJob(models.Model):
    """One request to train. Only services change `state` and `attempt`.

    A deleted job is one with `deleted_at`: nobody sees it, and a sweep removes it for good after some days.
    """

    organization_path = "experiment__project__organization"
    deletion_path = "deleted_at"
    experiment = models.ForeignKey(Experiment, models.CASCADE, related_name="jobs")
    name = models.CharField(max_length=200)
    trainer = models.CharField(max_length=64, help_text="The folder under trainers/.")
    task_type = models.CharField(max_length=32)
    model_name = models.CharField(max_length=120)
    dataset = models.ForeignKey(Dataset, models.PROTECT, null=True, related_name="jobs")
    snapshot = models.ForeignKey(DatasetSnapshot, models.PROTECT, null=True, related_name="jobs")
    weights = models.ForeignKey(
        PretrainedWeights, models.PROTECT, null=True, related_name="jobs", help_text="What it begins from."
    )
    config = models.JSONField(default=dict, help_text="Every setting, validated against the trainer's schema.")
    queue = models.CharField(max_length=32, default="gpu")
    priority = models.SmallIntegerField(choices=Priority.choices, default=Priority.NORMAL, db_default=0)
    state = models.CharField(max_length=16, choices=JobState.choices, default=JobState.DRAFT)
    state_reason = models.TextField(blank=True)
    attempt = models.PositiveIntegerField(default=0, help_text="Number of the newest attempt; the fence for writes.")
    granted_from = models.PositiveIntegerField(
        default=0, help_text="The newest attempt when a person last asked for a run."
    )
    parent = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        related_name="children",
        help_text="The job that it was cloned from, or whose weights it continues.",
    )
    weights_from = models.ForeignKey(
        "training.Checkpoint", models.SET_NULL, null=True, related_name="+", help_text="The weights it starts from."
    )
    resume_from = models.ForeignKey(
        "training.Checkpoint",
        models.SET_NULL,
        null=True,
        related_name="+",
        help_text="Where the next attempt goes on; none means from the beginning.",
    )
    time_limit_hours = models.FloatField(
        null=True, help_text="Its own limit for one attempt; none means the platform's."
    )
    memory_limit_gb = models.FloatField(null=True, help_text="Its own limit of memory; none means the platform's.")
    stop_at_nan = models.BooleanField(default=False, db_default=False, help_text="A value that is no number ends it.")
    patience = models.PositiveIntegerField(
        null=True, help_text="Epochs without a better primary metric after which it is stopped; none means never."
    )
    watched_metrics = models.CharField(
        max_length=500, blank=True, default="", db_default="", help_text="Patterns; empty means all but system/*."
    )
    stop_attempt = models.PositiveIntegerField(
        default=0, db_default=0, help_text="The attempt that the platform has asked to stop early."
    )
    validated_at = models.DateTimeField(null=True, help_text="When its data were found unchanged, for this request.")
    validation_tries = models.PositiveSmallIntegerField(default=0, db_default=0)
    validate_after = models.DateTimeField(null=True, help_text="Not checked again before; set while it is checked.")
    error_type = models.CharField(max_length=24, choices=ErrorType.choices, blank=True)
    error_code = models.CharField(
        max_length=32, blank=True, default="", db_default="", help_text="What exactly happened, as in jobs/failures.py."
    )
    error_message = models.TextField(blank=True)
    observability_backends = models.JSONField(default=list, help_text="The tracking tools that hear of it.")
    idempotency_key = models.CharField(max_length=128, null=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="jobs")
    created_at = models.DateTimeField(auto_now_add=True)
    queued_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    archived_at = models.DateTimeField(null=True, help_text="Put away: left out of lists that do not ask for it.")
    deleted_at = models.DateTimeField(null=True, help_text="By the database's clock.")
    deleted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    objects = OrganizationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["created_by", "idempotency_key"], name="job_idempotency_key_unique"),
        ]
        indexes = [
            models.Index(fields=["state", "queued_at"], name="job_state_queued"),
            models.Index(fields=["state", "ended_at"], name="job_state_ended"),
            models.Index(fields=["-created_at", "-id"], name="job_newest"),
            models.Index(fields=["deleted_at"], name="job_deleted", condition=models.Q(deleted_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def observability_experiment_ids(self) -> dict[str, str]:
        """What each tracking tool calls this job, such as {"database": "42", "mlflow": "9f3c…"}."""
        return {one.backend: one.experiment_id for one in self.deliveries.all() if one.experiment_id}


class JobAttempt(models.Model):
    """One execution of a job. `number` fences: a write of an older attempt is refused."""

    organization_path = "job__experiment__project__organization"
    deletion_path = "job__deleted_at"
    job = models.ForeignKey(TrainingJob, models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    worker = models.ForeignKey("training.Worker", models.SET_NULL, null=True, related_name="attempts")
    device = models.CharField(max_length=120, blank=True, help_text="What it runs on, for people.")
    opened_at = models.DateTimeField(help_text="When it was claimed, by the database's clock.")
    started_at = models.DateTimeField(null=True, help_text="When the trainer said `started`.")
    completed_at = models.DateTimeField(null=True, help_text="When the trainer said `completed`.")
    ended_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=16, blank=True, help_text="The state that it ended in.")
    lease_until = models.DateTimeField(help_text="Renewed by the supervisor; over means lost.")
    heartbeat_at = models.DateTimeField(null=True, help_text="Last word of the trainer itself.")
    cancel_requested_at = models.DateTimeField(null=True)
    cancel_seen_at = models.DateTimeField(null=True)
    operation = models.CharField(max_length=32, blank=True)
    sdk_version = models.CharField(max_length=32, blank=True)
    process_id = models.PositiveIntegerField(null=True)
    exit_code = models.IntegerField(null=True)
    total_epochs = models.PositiveIntegerField(null=True)
    total_steps = models.PositiveBigIntegerField(null=True)
    final_no = models.PositiveBigIntegerField(null=True, help_text="The sender's last number, told at its end.")
    final_metrics = models.JSONField(default=dict)
    listed_checkpoints = models.JSONField(default=list, help_text="Keys that the trainer named at its end.")
    best_epoch = models.PositiveIntegerField(null=True)
    resumed_from = models.ForeignKey(
        "training.Checkpoint", models.SET_NULL, null=True, related_name="+", help_text="The checkpoint it goes on from."
    )
    resumed_step = models.BigIntegerField(null=True)
    resumed_epoch = models.PositiveIntegerField(null=True)
    download = models.JSONField(
        null=True, help_text="How far the download of its data is: {files, of, bytes, of_bytes}; none before it begins."
    )
    objects = OrganizationQuerySet.as_manager()

    class Meta:
        ordering = ["job", "number"]
        constraints = [models.UniqueConstraint(fields=["job", "number"], name="attempt_number_unique")]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.job}"
