"""Whose turn it is: waiting jobs in the order in which workers take them.

Each step of priority is worth `PRIORITY_HOURS` of waiting: a high job goes before
a normal one that was queued up to six hours earlier, a normal one before a low one
likewise. So whoever waits comes nearer to its turn, and nobody waits for ever.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Case, DateTimeField, DurationField, ExpressionWrapper, F, Q, QuerySet, Value, When

from training.models import JobState, Priority, TrainingJob

PRIORITY_HOURS = 6


def _moved(priority: Priority) -> ExpressionWrapper:
    moment = F("queued_at") - Value(_gain(priority), output_field=DurationField())
    return ExpressionWrapper(moment, output_field=DateTimeField())


def _gain(priority: int) -> timedelta:
    return timedelta(hours=PRIORITY_HOURS * priority)


TURN = Case(
    When(priority=Priority.LOW, then=_moved(Priority.LOW)),
    When(priority=Priority.HIGH, then=_moved(Priority.HIGH)),
    default=F("queued_at"),
    output_field=DateTimeField(),
)


def in_turn(queues: Iterable[str] | None = None) -> QuerySet[TrainingJob]:
    """The waiting jobs of these queues, or of all, in the order of their turns."""
    waiting = TrainingJob.objects.filter(state=JobState.QUEUED)
    if queues is not None:
        waiting = waiting.filter(queue__in=queues)
    return waiting.annotate(turn=TURN).order_by("turn", "id")


def turn_of(job: TrainingJob) -> datetime:
    """The moment that a waiting job's place is reckoned from."""
    return (job.queued_at or job.created_at) - _gain(job.priority)


def place_of_job(job: TrainingJob) -> int:
    """A waiting job's place in its queue, from 1, whosever the jobs before it are: workers serve all organizations."""
    turn = turn_of(job)
    before = in_turn([job.queue]).filter(Q(turn__lt=turn) | Q(turn=turn, pk__lt=job.pk))
    return before.count() + 1


def queue_places(limit: int = 5000) -> dict[int, int]:
    """The place of each waiting job in its queue, for the first `limit` of them."""
    lengths: dict[str, int] = {}
    places = {}
    for pk, queue in in_turn().values_list("pk", "queue")[:limit]:
        places[pk] = lengths[queue] = lengths.get(queue, 0) + 1
    return places
