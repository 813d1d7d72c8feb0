"""Workers: Celery processes that run jobs, and the slots (GPUs, or the CPU) that they offer."""

from django.db import models

from training.models.job import JobAttempt


class Worker(models.Model):
    name = models.CharField(max_length=120, unique=True)
    host = models.CharField(max_length=255)
    version = models.CharField(max_length=32, blank=True)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    draining_at = models.DateTimeField(null=True, help_text="Since when it takes no more jobs; none means it does.")
    queues = models.CharField(
        max_length=200, blank=True, default="", db_default="", help_text="With commas; empty means not told."
    )
    memory_free = models.BigIntegerField(null=True, help_text="Bytes of the machine's memory, when last seen.")
    memory_total = models.BigIntegerField(null=True)

    def __str__(self) -> str:
        return self.name


class Slot(models.Model):
    """One GPU, or the CPU, of a worker; free while it holds no attempt."""

    worker = models.ForeignKey(Worker, models.CASCADE, related_name="slots")
    device = models.CharField(max_length=32, help_text="cpu, or the GPU's number.")
    label = models.CharField(max_length=120, help_text="The device's name, for people.")
    attempt = models.ForeignKey(JobAttempt, models.SET_NULL, null=True, related_name="slots")
    memory_free = models.BigIntegerField(null=True, help_text="Bytes of the GPU's own memory, when last seen.")
    memory_total = models.BigIntegerField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["worker", "device"], name="slot_device_unique")]

    def __str__(self) -> str:
        return f"{self.label} of {self.worker}"
