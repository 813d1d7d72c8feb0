"""How many lines a log has, known at once the second time: only what came since the last look is counted.

Lines are never changed, and a record's lines are there when the record is; so what was counted up to a record stays
true. Kept in this process, for the logs that were looked at last.
"""

import threading
from collections import OrderedDict
from datetime import datetime

from django.db.models import QuerySet

from training.models import TrainingJob, TrainingLog

KEPT = 1000
LOOKED_AT = 2000  # lines at either end, among which sources are looked for
_known: OrderedDict[tuple[int, datetime, object], tuple[int, int]] = OrderedDict()
_lock = threading.Lock()


def lines_count(job_id: int, lines: QuerySet[TrainingLog], what: object) -> tuple[int, int]:
    """How many `lines` there are, and up to which record; `what` tells which of the job's they are."""
    made = TrainingJob.objects.filter(pk=job_id).values_list("created_at", flat=True).first()
    if made is None:
        return 0, 0
    key = job_id, made, what  # numbers of deleted jobs may come again
    with _lock:
        seq, count = _known.get(key, (0, 0))
    newest = TrainingLog.objects.filter(job_id=job_id).order_by("-seq").values_list("seq", flat=True).first() or 0
    if newest > seq:
        count += lines.filter(seq__gt=seq, seq__lte=newest).count()
        with _lock:
            _known[key] = newest, count
            _known.move_to_end(key)
            while len(_known) > KEPT:
                _known.popitem(last=False)
    return count, max(newest, seq)


def line_sources(job_id: int) -> list[str]:
    """Who writes to the log: trainer, stdout, … By its first and its newest lines: there are few."""
    lines = TrainingLog.objects.filter(job_id=job_id).values_list("source", flat=True)
    newest = list(lines.order_by("-seq", "-n")[:LOOKED_AT])
    if len(newest) < LOOKED_AT:  # these are all
        return sorted({*newest})
    return sorted({*newest, *lines.order_by("seq", "n")[:LOOKED_AT]})
