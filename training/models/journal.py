"""The journal: everything that a run says, in the order in which it was committed.

`journal/writer.py` writes these rows by raw SQL, `journal/reader.py` reads them.
They refer to their job without a constraint: PostgreSQL looked the job up again
for each row of a batch. The only writer holds the lock of the job's row, and so
does who removes a job.
"""

from django.db import models

from training.models.job import TrainingJob


class RecordKind(models.IntegerChoices):
    METRICS = 1
    LOG = 2
    EVENT = 3


class MetricNames(models.Model):
    """An ordered list of metric names, stored once and shared by all records that have it."""

    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the names as JSON.")
    names = models.JSONField()

    class Meta:
        verbose_name_plural = "metric names"

    def __str__(self) -> str:
        return ", ".join(self.names[:4])


class JournalRecord(models.Model):
    """One report, batch of log lines or event.

    `seq` grows by one per record within a job, without gaps. `sender_no` is the
    last number of the attempt's sender; the platform's own records repeat it.
    `values` holds float64 little-endian in the order of `names` for metrics,
    UTF-8 JSON for events, and nothing for log lines.
    """

    pk = models.CompositePrimaryKey("job_id", "seq")
    job = models.ForeignKey(TrainingJob, models.CASCADE, related_name="+", db_index=False, db_constraint=False)
    seq = models.BigIntegerField()
    attempt = models.IntegerField()
    sender_no = models.BigIntegerField()
    kind = models.SmallIntegerField(choices=RecordKind.choices)
    time = models.FloatField(help_text="Seconds since 1970.")
    step = models.BigIntegerField(null=True)
    epoch = models.IntegerField(null=True)
    names = models.ForeignKey(
        MetricNames, models.PROTECT, null=True, related_name="+", db_index=False, db_constraint=False
    )
    values = models.BinaryField()


class LogLevel(models.IntegerChoices):
    DEBUG = 10, "debug"
    INFO = 20, "info"
    WARNING = 30, "warning"
    ERROR = 40, "error"


class TrainingLog(models.Model):
    """One log line; the record (job, seq) is the batch that it came in."""

    pk = models.CompositePrimaryKey("job_id", "seq", "n")
    job = models.ForeignKey(TrainingJob, models.CASCADE, related_name="+", db_index=False, db_constraint=False)
    seq = models.BigIntegerField()
    n = models.IntegerField()
    level = models.SmallIntegerField(choices=LogLevel.choices)
    source = models.CharField(max_length=32)
    time = models.FloatField(help_text="Seconds since 1970.")
    message = models.TextField()
    metadata = models.TextField(help_text="A small JSON object, or empty.")

    class Meta:
        # so that the first error of a million lines, and a list of nothing but warnings, is a look into an index
        indexes = [
            models.Index(fields=["job", "seq", "n"], name="log_warnings", condition=models.Q(level__gte=30)),
            models.Index(fields=["job", "seq", "n"], name="log_errors", condition=models.Q(level__gte=40)),
        ]


class FollowerCursor(models.Model):
    """How far a follower (summary, roll-up, alert rule …) has read a job's journal."""

    follower = models.CharField(max_length=64)
    job = models.ForeignKey(TrainingJob, models.CASCADE, related_name="cursors")
    seq = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["follower", "job"], name="follower_cursor_unique")]

    def __str__(self) -> str:
        return f"{self.follower} of {self.job_id} at {self.seq}"


class MetricSummary(models.Model):
    """What tables show of a metric; non-finite values count, but do not enter the figures."""

    job = models.ForeignKey(TrainingJob, models.CASCADE, related_name="summaries")
    name = models.CharField(max_length=255)
    count = models.BigIntegerField(default=0)
    nonfinite = models.BigIntegerField(default=0)
    first = models.FloatField(null=True)
    latest = models.FloatField(null=True)
    minimum = models.FloatField(null=True)
    maximum = models.FloatField(null=True)
    total = models.FloatField(default=0.0)
    best = models.FloatField(null=True)
    best_epoch = models.IntegerField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "name"], name="summary_unique")]
        verbose_name_plural = "metric summaries"

    def __str__(self) -> str:
        return self.name
