"""Roll-ups of metrics, from which charts of any length are drawn; `journal/rollup.py` writes them."""

from django.db import models

from training.models.job import TrainingJob


class MetricSeries(models.Model):
    """One metric of one attempt, known to the roll-ups by a number."""

    job = models.ForeignKey(TrainingJob, models.CASCADE, related_name="+", db_index=False)
    name = models.CharField(max_length=255)
    attempt = models.IntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "name", "attempt"], name="series_unique")]
        verbose_name_plural = "metric series"

    def __str__(self) -> str:
        return f"{self.name} of attempt {self.attempt}"


class RollUp(models.Model):
    """64 buckets of a series. A bucket of level L holds 64 to the power of L records of the job's journal.

    Written once, when all its records are there. The ranges tell which windows it reaches into without opening it.
    """

    pk = models.CompositePrimaryKey("series_id", "level", "block")
    series = models.ForeignKey(MetricSeries, models.CASCADE, related_name="+", db_index=False)
    level = models.SmallIntegerField()
    block = models.BigIntegerField(help_text="Counts from 0; the first holds the journal's first records.")
    low_step = models.BigIntegerField()
    high_step = models.BigIntegerField()
    low_epoch = models.IntegerField()
    high_epoch = models.IntegerField()
    low_time = models.FloatField(help_text="Seconds since 1970.")
    high_time = models.FloatField(help_text="Seconds since 1970.")
    buckets = models.BinaryField(help_text="Little-endian records; `journal/buckets.py` names their fields.")
