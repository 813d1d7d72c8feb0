"""The database's clock: leases and deadlines of many machines are compared by one clock only."""

from datetime import timedelta

from django.db.models import DateTimeField, DurationField, ExpressionWrapper, Value
from django.db.models.functions import Now


def now_plus(seconds: float) -> ExpressionWrapper:
    """The database's present time and `seconds` (which may be negative), as an expression."""
    moment = Now() + Value(timedelta(seconds=seconds), output_field=DurationField())
    return ExpressionWrapper(moment, output_field=DateTimeField())
