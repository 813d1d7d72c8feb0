"""Files of what was deleted, removed by a maintenance worker: as often as it takes, for some seconds at a time."""

import logging
import threading
import time

from django.db.models import F

from training.models import StoredRemoval
from training.storage.store import store_named

logger = logging.getLogger(__name__)
SECONDS = 10.0
ROWS = 500


def removals_work(stopping: threading.Event, seconds: float = SECONDS) -> bool:
    """Remove what is written down, those first that were tried least; whether all of it is gone.

    What can't be removed now is tried again at the next sweep. A second
    worker that does the same at the same time does no harm.
    """
    until = time.monotonic() + seconds
    for row in StoredRemoval.objects.order_by("tries", "id")[:ROWS]:
        if stopping.is_set() or time.monotonic() > until:
            return False
        try:
            gone = _remove(row, stopping, until)
        except OSError as error:
            logger.warning("%s in the %s store can't be removed yet: %s", row.key, row.store, error)
            StoredRemoval.objects.filter(pk=row.pk).update(tries=F("tries") + 1)
            continue
        if gone:
            StoredRemoval.objects.filter(pk=row.pk).delete()
    return not StoredRemoval.objects.exists()


def _remove(row: StoredRemoval, stopping: threading.Event, until: float) -> bool:
    """Whether everything that the row means is gone."""
    store = store_named(row.store)
    if not row.below:
        store.delete(row.key)
        return True
    for stored in store.list(row.key):
        if stopping.is_set() or time.monotonic() > until:
            return False
        store.delete(stored.key)
    return True
