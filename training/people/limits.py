"""Limits against guessing: tries are counted in the database, for whom and from where, by all processes together."""

import hashlib
from datetime import timedelta

from django.conf import settings
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext

from training.models import TryCount

WINDOW = timedelta(minutes=15)


class TooMany(Exception):
    """It was tried too often. After `seconds` it may be tried again."""

    def __init__(self, seconds: int) -> None:
        super().__init__(
            gettext("Too many tries. Wait %(seconds)s minutes, then try again.") % {"seconds": -(-seconds // 60)}
        )
        self.seconds = seconds


def limit_take(kind: str, *, target: str = "", source: str = "") -> None:
    """Count one try of `kind` at `target` (an account) and from `source` (an address); TooMany beyond the limits.

    Counted before anything is checked, so that many tries at once can't slip
    through, and a right guess gets the same answer as a wrong one.
    """
    bounds = {"source": (source, settings.TRIES_PER_ADDRESS), "target": (target, settings.TRIES_PER_ACCOUNT)}
    for side, (value, most) in bounds.items():
        if value and (over := _count(kind, _digest(kind, side, value), most)):
            raise TooMany(over)


def limit_forgive(kind: str, *, target: str = "", source: str = "") -> None:
    """The try was a good one: forget those at its target, and take one back from its source."""
    TryCount.objects.filter(digest=_digest(kind, "target", target)).delete()
    TryCount.objects.filter(digest=_digest(kind, "source", source), count__gt=0).update(count=F("count") - 1)


def _count(kind: str, digest: str, most: int) -> int:
    """Count one; the seconds to wait if that was more than `most` since the window began, else 0."""
    now = timezone.now()
    TryCount.objects.filter(digest=digest, started_at__lte=now - WINDOW).update(count=0, started_at=now)
    row, made = TryCount.objects.get_or_create(digest=digest, defaults={"kind": kind, "started_at": now})
    TryCount.objects.filter(pk=row.pk).update(count=F("count") + 1)
    if made:
        TryCount.objects.filter(started_at__lt=now - 2 * WINDOW).delete()
    row = TryCount.objects.filter(pk=row.pk).first() or row  # forgiven at this very moment
    return max(1, int((row.started_at + WINDOW - now).total_seconds())) if row.count > most else 0


def _digest(kind: str, side: str, value: str) -> str:
    return hashlib.sha256(f"{kind} {side} {value.casefold()}".encode("utf-8", "replace")).hexdigest()
