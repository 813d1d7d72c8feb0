"""Calls of the REST API: what a repeat is answered, and how many a caller has made."""

from django.conf import settings
from django.db import models


class KeptAnswer(models.Model):
    """What a call with an Idempotency-Key was answered, so that its repeat is answered the same."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    key = models.CharField(max_length=128)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of what was asked for.")
    status = models.PositiveSmallIntegerField(null=True, help_text="Nothing while the first call is being answered.")
    headers = models.JSONField(default=dict)
    body = models.TextField(null=True, help_text="Nothing for an answer that is shown once.")
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="kept_answer_unique")]

    def __str__(self) -> str:
        return f"{self.key} of {self.user_id}"


class CallWindow(models.Model):
    """How many calls a caller has made in the newest minute in which there were any."""

    caller = models.CharField(primary_key=True, max_length=40, help_text="key:12 or person:5.")
    minute = models.BigIntegerField(help_text="Minutes since 1970.")
    calls = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.caller}: {self.calls}"
