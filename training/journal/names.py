"""Interned lists of metric names: each list is stored once, and known by its number."""

import hashlib
import json
import threading
from collections.abc import Collection

from django.db import connection

from training.models.journal import MetricNames

MAX_KNOWN = 20_000  # lists kept in memory, a few MB; beyond that the oldest are asked for again
_ids: dict[tuple[str, ...], int] = {}
_names: dict[int, tuple[str, ...]] = {}
_lock = threading.Lock()


def names_intern(wanted: Collection[tuple[str, ...]]) -> dict[tuple[str, ...], int]:
    """The number of each list, stored now if it is new.

    In sorted order and in transactions of their own, before the journal's, so
    that two writers never wait for each other in a circle.
    """
    known = {names: _ids[names] for names in wanted if names in _ids}
    missing = {_digest(names): names for names in wanted if names not in known}
    if not missing:
        return known
    rows = [MetricNames(digest=digest, names=list(missing[digest])) for digest in sorted(missing)]
    MetricNames.objects.bulk_create(rows, ignore_conflicts=True)
    for row_id, digest in MetricNames.objects.filter(digest__in=missing).values_list("id", "digest"):
        known[missing[digest]] = row_id
    if not connection.in_atomic_block:  # a transaction that is still open may yet be rolled back
        _remember({row_id: names for names, row_id in known.items()})
    return known


def names_of(ids: Collection[int]) -> dict[int, tuple[str, ...]]:
    """The lists behind the numbers."""
    missing = [row_id for row_id in ids if row_id not in _names]
    found = dict(MetricNames.objects.filter(id__in=missing).values_list("id", "names")) if missing else {}
    stored = {row_id: tuple(names) for row_id, names in found.items()}
    if not connection.in_atomic_block:
        _remember(stored)
    return {row_id: stored.get(row_id) or _names[row_id] for row_id in ids}


def forget() -> None:
    """Drop what is remembered; for tests, whose database is rolled back."""
    with _lock:
        _ids.clear()
        _names.clear()


def _remember(lists: dict[int, tuple[str, ...]]) -> None:
    with _lock:
        if len(_ids) + len(lists) > MAX_KNOWN:
            _ids.clear()
            _names.clear()
        for row_id, names in lists.items():
            _ids[names] = row_id
            _names[row_id] = names


def _digest(names: tuple[str, ...]) -> str:
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()
