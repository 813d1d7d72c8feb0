"""`/healthz`: the process answers. `/readyz`: what it needs is there, each part with its own word."""

import logging
from collections.abc import Callable

from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse

from training.storage.store import Store, StoreAway, external_store, internal_store

logger = logging.getLogger(__name__)


async def healthz(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """200 when the site can work, else 503; `checks` tells which part can't, without details of the inside."""
    checks = {name: _outcome(check) for name, check in CHECKS.items()}
    ready = all(outcome == "ok" for outcome in checks.values())
    return JsonResponse({"status": "ok" if ready else "not ready", "checks": checks}, status=200 if ready else 503)


def _outcome(check: Callable[[], str]) -> str:
    try:
        return check()
    except Exception as error:  # whatever fails, its name is the answer
        return f"failed: {type(error).__name__}"


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return "ok"


def _migrations() -> str:
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return "ok" if not waiting else f"{len(waiting)} migrations are not applied"


def _storage() -> str:
    away = [f"{store.name}: {said}" for store in (internal_store(), external_store()) if (said := _away(store))]
    return "; ".join(away) or "ok"


def _away(store: Store) -> str:
    """Why the store can't be used, without its address."""
    try:
        store.check()
    except StoreAway as error:
        logger.warning("%s", error)
        return "away, or its bucket or folder is missing"
    return ""


CHECKS: dict[str, Callable[[], str]] = {"database": _database, "migrations": _migrations, "storage": _storage}
