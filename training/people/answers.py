"""Repeats of a call: under the same Idempotency-Key a call is made once, and answered the same for a day."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from training.models import KeptAnswer, User

KEPT = timedelta(hours=24)
ABANDONED = timedelta(minutes=5)  # whoever began to answer has died; a proxy gives up long before


class OtherCall(Exception):
    """The key was used for something else."""


class StillAnswering(Exception):
    """The first call under this key has not been answered yet."""


class ShownOnce(Exception):
    """The first call was answered, and its answer is not kept: it held a secret."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """The answer that the first call got."""

    status: int
    headers: dict[str, str]
    body: str


def answer_begin(user: User, key: str, fingerprint: str) -> Repeat | None:
    """None if this is the first call under the key, which is the caller's to answer now; else what the first one got.

    Of calls at the same time exactly one is the first. Raises OtherCall,
    StillAnswering, ShownOnce.
    """
    now = timezone.now()
    try:
        with transaction.atomic():
            KeptAnswer.objects.create(user=user, key=key, fingerprint=fingerprint, created_at=now)
        return None
    except IntegrityError:
        kept = KeptAnswer.objects.filter(user=user, key=key).first()
    if kept is None:  # given up by its first caller at this very moment
        raise StillAnswering
    if kept.created_at < now - KEPT or (kept.status is None and kept.created_at < now - ABANDONED):
        _taken_over(kept, fingerprint)
        return None
    if kept.fingerprint != fingerprint:
        raise OtherCall
    if kept.status is None:
        raise StillAnswering
    if kept.body is None:
        raise ShownOnce
    return Repeat(kept.status, kept.headers, kept.body)


def answer_keep(user: User, key: str, status: int, headers: Mapping[str, str], body: str | None) -> None:
    """Answer every repeat like this from now on; `body` None for what must be shown once only."""
    kept = KeptAnswer.objects.filter(user=user, key=key, status=None)
    kept.update(status=status, headers=dict(headers), body=body)


def answer_forget(user: User, key: str) -> None:
    """The call failed and changed nothing: the key is free again."""
    KeptAnswer.objects.filter(user=user, key=key, status=None).delete()


def answers_sweep() -> int:
    """Forget what is older than a day; how many were forgotten."""
    count, _ = KeptAnswer.objects.filter(created_at__lt=timezone.now() - KEPT).delete()
    return count


def _taken_over(kept: KeptAnswer, fingerprint: str) -> None:
    """Begin again where nobody will finish; only one of those who try may."""
    same = KeptAnswer.objects.filter(pk=kept.pk, created_at=kept.created_at)
    if not same.update(created_at=timezone.now(), fingerprint=fingerprint, status=None, body=None, headers={}):
        raise StillAnswering
