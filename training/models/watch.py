"""What the platform watches in a job's metrics: values that are no numbers, and whether it still gets better."""

from django.db import models

from training.models.job import TrainingJob


class JobWatch(models.Model):
    """How far a job's metrics have been watched, and what was found; `jobs/watching.py` keeps it.

    `resumed` is a digest of the attempts' resume points: when it changes, which points count
    has changed, and the metrics are looked at anew from the first.
    """

    job = models.OneToOneField(TrainingJob, models.CASCADE, related_name="watch")
    seq = models.BigIntegerField(default=0, help_text="The last record whose metrics were looked at.")
    event_seq = models.BigIntegerField(default=0, help_text="The last event that alerts were made of.")
    resumed = models.CharField(max_length=16, blank=True)
    after_attempt = models.PositiveIntegerField(default=0, help_text="A person asked to go on after this attempt.")
    nan_metric = models.CharField(max_length=255, blank=True, help_text="The first that became no number.")
    nan_value = models.CharField(max_length=12, blank=True)
    nan_attempt = models.PositiveIntegerField(null=True)
    nan_step = models.BigIntegerField(null=True)
    nan_epoch = models.IntegerField(null=True)
    nan_seq = models.BigIntegerField(null=True)
    told_nan = models.BigIntegerField(default=0, help_text="The record of the last such value that was told of.")
    best = models.FloatField(null=True, help_text="Of the primary metric, since `after_attempt`.")
    best_at = models.BigIntegerField(null=True, help_text="Its epoch, or its number among the reports without epochs.")
    latest_at = models.BigIntegerField(null=True)
    last_point = models.FloatField(null=True, help_text="When the trainer's last metrics were seen, since 1970.")
    streaks = models.JSONField(default=dict, help_text="For each alert rule, reports in a row beyond its threshold.")
    reason = models.CharField(max_length=300, blank=True, help_text="Why it was stopped early.")

    class Meta:
        verbose_name_plural = "job watches"

    def __str__(self) -> str:
        return f"watch of job {self.job_id}"
