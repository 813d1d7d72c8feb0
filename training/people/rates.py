"""How many calls an API key and a person may make in a minute, in all processes together: the database counts."""

import time
from dataclasses import dataclass

from django.conf import settings
from django.db import connection

from training.people.keys import Caller

WINDOW_SECONDS = 60
COUNT = """
INSERT INTO training_callwindow (caller, minute, calls) VALUES (%s, %s, 1)
ON CONFLICT (caller) DO UPDATE SET
  calls = CASE WHEN training_callwindow.minute = excluded.minute THEN training_callwindow.calls + 1 ELSE 1 END,
  minute = excluded.minute
RETURNING calls
"""


@dataclass(frozen=True, slots=True)
class Rate:
    """Where a caller stands: calls a minute, how many are left of them, seconds until they are all there again."""

    limit: int
    remaining: int
    reset: int
    exceeded: bool


def call_count(caller: Caller) -> Rate | None:
    """Count one call; the stricter of the key's and the person's rate, None where neither is limited."""
    minute, second = divmod(int(time.time()), WINDOW_SECONDS)
    rates = [_rate(name, limit, minute, WINDOW_SECONDS - second) for name, limit in _limits(caller) if limit]
    return min(rates, key=lambda rate: (not rate.exceeded, rate.remaining), default=None)


def _limits(caller: Caller) -> list[tuple[str, int]]:
    person = (f"person:{caller.user.pk}", settings.API_PERSON_CALLS_A_MINUTE)
    return [person] if caller.key is None else [(f"key:{caller.key.pk}", settings.API_KEY_CALLS_A_MINUTE), person]


def _rate(name: str, limit: int, minute: int, reset: int) -> Rate:
    with connection.cursor() as cursor:
        cursor.execute(COUNT, [name, minute])
        (calls,) = cursor.fetchone()
    return Rate(limit, max(0, limit - calls), reset, calls > limit)
