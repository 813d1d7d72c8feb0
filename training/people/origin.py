"""Where the present request comes from, for those who write things down and never see a request."""

import sys
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from training.models import ApiKey, Role, User


@dataclass(slots=True)
class Origin:
    """The request that is being answered; without one, the program that runs."""

    request: HttpRequest | None = None
    key: ApiKey | None = None
    roles: dict[tuple[int, int], Role | None] = field(default_factory=dict)

    @property
    def only_reads(self) -> bool:
        """Whether it is a request that changes nothing, so that what it has read stays as it was."""
        return self.request is not None and self.request.method in ("GET", "HEAD")

    @property
    def user(self) -> User | None:
        user = self.key.user if self.key else getattr(self.request, "user", None)
        return user if isinstance(user, User) and user.is_authenticated else None

    @property
    def by(self) -> str:
        if self.key is not None:
            return f"key vtk_{self.key.prefix}"
        return "pages" if self.request is not None else program()

    @property
    def address(self) -> str:
        return address_of(self.request) if self.request is not None else ""

    @property
    def request_id(self) -> str:
        return self.request.META.get("REQUEST_ID", "") if self.request is not None else ""


_present: ContextVar[Origin | None] = ContextVar("origin", default=None)


def origin() -> Origin:
    """The origin of what is being done now."""
    return _present.get() or Origin()


def origin_key(key: ApiKey | None) -> None:
    """The present request was let in by this API key."""
    found = _present.get()
    if found is not None:
        found.key = key


def address_of(request: HttpRequest) -> str:
    """Who is at the other end of the connection, or what the trusted proxy there says of it.

    Only the last address of X-Forwarded-For is the proxy's own word; those before it anybody may have made up.
    """
    address: str = request.META.get("REMOTE_ADDR") or ""
    if settings.TRUST_PROXY_HEADERS:
        address = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip() or address
    return address[:45]


def program() -> str:
    """What runs without a request: a worker, or a command such as `manage.py train`."""
    name, *arguments = sys.argv or [""]
    if Path(name).name == "celery" or "celery" in Path(name).parts:
        return "worker"
    words = [Path(name).name, *(word for word in arguments[:1] if not word.startswith("-"))]
    return " ".join(words)[:120]


@sync_and_async_middleware
def origins(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Remember the request while it is answered."""
    if iscoroutinefunction(get_response):

        async def middleware(request: HttpRequest) -> HttpResponseBase:
            token = _present.set(Origin(request))
            try:
                response: HttpResponseBase = await get_response(request)
                return response
            finally:
                _present.reset(token)

        return middleware

    def plain(request: HttpRequest) -> HttpResponseBase:
        token = _present.set(Origin(request))
        try:
            response: HttpResponseBase = get_response(request)
            return response
        finally:
            _present.reset(token)

    return plain
