"""How often something was tried of late: counts that all processes share, against guessing."""

from django.db import models


class TryCount(models.Model):
    """Tries of one kind by one source, or at one target, since `started_at`. What they are is kept as a digest only."""

    digest = models.CharField(max_length=64, unique=True)
    kind = models.CharField(max_length=32)
    started_at = models.DateTimeField(db_index=True)
    count = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.count} × {self.kind}"
