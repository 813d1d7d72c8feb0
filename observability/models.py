"""The ledger: one delivery for each job and backend, and one breaker for each backend. All times are the database's."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from training.models.visibility import OrganizationQuerySet


class DeliveryState(models.TextChoices):
    PENDING = "pending", _("Pending")
    ACTIVE = "active", _("Sending")
    CAUGHT_UP = "caught_up", _("Up to date")
    WAITING = "waiting", _("Waiting to try again")
    PAUSED = "paused", _("Paused")
    FINISHED = "finished", _("Complete")


class Delivery(models.Model):
    """How far a backend has been told of a job. The cursors move only under the lease's token, after the send.

    `seq` is what the backend has of everything; `metrics_seq` and `lines_seq`
    run ahead of it while the parts of one stretch of the journal are sent.
    `adapter_state` is the adapter's own, stored with the cursors.
    """

    organization_path = "job__experiment__project__organization"
    deletion_path = "job__deleted_at"
    job = models.ForeignKey("training.TrainingJob", models.CASCADE, related_name="deliveries")
    backend = models.CharField(max_length=64)
    state = models.CharField(max_length=16, choices=DeliveryState.choices, default=DeliveryState.PENDING)
    experiment_id = models.CharField(max_length=255, blank=True)
    url = models.CharField(max_length=1000, blank=True)
    seq = models.BigIntegerField(default=0)
    metrics_seq = models.BigIntegerField(default=0)
    lines_seq = models.BigIntegerField(default=0)
    parameters_sent = models.BooleanField(default=False)
    ended_seq = models.BigIntegerField(default=0, help_text="The newest end of the job that the cursor has passed.")
    finalized_seq = models.BigIntegerField(default=0, help_text="Up to where the backend was told of the end.")
    points = models.BigIntegerField(default=0, help_text="Metric points delivered.")
    halvings = models.PositiveSmallIntegerField(
        default=0,
        db_default=0,
        help_text="How often its batches were halved, because the backend was too slow for them.",
    )
    adapter_state = models.JSONField(default=dict)
    last_error = models.TextField(blank=True)
    error_count = models.PositiveIntegerField(default=0, help_text="Failures since the last success.")
    next_try_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    lease_token = models.CharField(max_length=32, blank=True)
    turn_at = models.DateTimeField(null=True, help_text="When it was last claimed: the longest ago comes next.")
    delivered_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    objects = OrganizationQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [models.UniqueConstraint(fields=["job", "backend"], name="delivery_unique")]
        indexes = [models.Index(fields=["backend", "state", "turn_at"], name="delivery_turn")]

    def __str__(self) -> str:
        return f"job {self.job_id} to {self.backend}"


class Breaker(models.Model):
    """Whether a backend is left alone for a while, because call after call has failed."""

    backend = models.CharField(max_length=64, unique=True)
    failures = models.PositiveIntegerField(default=0, help_text="Consecutive failures, of whichever job.")
    opened_until = models.DateTimeField(null=True)
    last_error = models.TextField(blank=True)

    def __str__(self) -> str:
        return self.backend


class Tally(models.Model):
    """One number of `/metrics` that is counted rather than looked up; every process adds to it."""

    name = models.CharField(max_length=64)
    labels = models.CharField(max_length=255, help_text="The values of its labels, as a JSON list.")
    value = models.FloatField(default=0)

    class Meta:
        verbose_name_plural = "tallies"
        constraints = [models.UniqueConstraint(fields=["name", "labels"], name="tally_unique")]

    def __str__(self) -> str:
        return f"{self.name}{self.labels}"
