"""Who may watch a job over a socket: the session or API key behind it, the person's organizations, the Origin."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.sessions.backends.base import SessionBase
from django.db import connection
from django.http import HttpRequest
from django.http.request import split_domain_port, validate_host
from django.utils.module_loading import import_string

from training.jobs.selectors import jobs_visible
from training.models import User
from training.people.keys import READ, Caller, key_caller

NOT_SIGNED_IN, NO_RIGHT, NO_SUCH_JOB = 4401, 4403, 4404
Given = ParamSpec("Given")
Result = TypeVar("Result")
# Reading for one connection never waits for the watcher, nor for the thread that Django's sync views share.
_pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="live-reader")


async def in_reader(read: Callable[Given, Result], *args: Given.args, **kwargs: Given.kwargs) -> Result:
    """Run a read of the database beside the event loop."""

    def call() -> Result:
        try:
            return read(*args, **kwargs)
        finally:
            connection.close()

    return await asyncio.get_running_loop().run_in_executor(_pool, call)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the other side of a socket showed when it connected: a session's cookie, or an API key."""

    session_key: str | None
    authorization: str = ""


def watch_refusal(shown: Credentials, job_id: int) -> int:
    """The code to close with, or 0 if whoever showed this may see the job now."""
    caller = key_caller(shown.authorization) if shown.authorization else _session_caller(shown.session_key)
    if caller is None or not caller.may(READ):
        return NOT_SIGNED_IN
    return 0 if jobs_visible(caller.user, caller.organization_id).filter(pk=job_id).exists() else NO_SUCH_JOB


def _session_caller(session_key: str | None) -> Caller | None:
    request = HttpRequest()
    store: type[SessionBase] = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
    request.session = store(session_key)
    user = get_user(request)
    return Caller(user) if isinstance(user, User) and user.is_active else None


def authorization_of(headers: list[tuple[bytes, bytes]]) -> str:
    """The Authorization header; empty if there is none."""
    return next((value.decode("latin-1") for name, value in headers if name.lower() == b"authorization"), "")


def origin_allowed(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether the page that opened the socket is ours. Programs send no Origin; browsers always do."""
    found: dict[bytes, Any] = {name.lower(): value.decode("latin-1") for name, value in headers}
    origin = found.get(b"origin")
    if origin is None:
        return True
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    host = split_domain_port(urlsplit(origin).netloc)[0]
    hosts = settings.ALLOWED_HOSTS or ["localhost", "127.0.0.1", "[::1]"]
    return bool(host) and urlsplit(origin).netloc == found.get(b"host") and validate_host(host, hosts)
