"""How full the platform's folders are, as the maintenance worker last found them."""

from django.db import models


class DiskUse(models.Model):
    """One place: what the platform keeps there, and how much room its disk has left. Sizes in bytes."""

    place = models.CharField(max_length=32, unique=True)
    used = models.PositiveBigIntegerField(null=True, help_text="Unknown where the place can't be measured.")
    files = models.PositiveBigIntegerField(null=True)
    free = models.PositiveBigIntegerField(null=True)
    total = models.PositiveBigIntegerField(null=True)
    measured_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "disk uses"

    def __str__(self) -> str:
        return self.place
