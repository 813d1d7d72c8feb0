"""Which language a page is told in: the person's choice, or the cookie's, or the browser's.

Programs hear English, whoever asks: the REST API, the trainers' door, files, and what Prometheus reads.
"""

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.decorators import sync_and_async_middleware
from django.utils.translation import get_language_from_request, override

PROGRAMS = ("/api/", "/metrics", "/healthz", "/readyz", "/storage/")
DOCUMENTATION = "/api/docs"
FILES = (".csv", ".json", ".txt", ".parquet", ".yaml")


def for_people(path: str) -> bool:
    """Whether what lies at this address is a page, or a piece of one."""
    return path == DOCUMENTATION or not (path.startswith(PROGRAMS) or path.endswith(FILES))


def language_of(request: HttpRequest) -> str:
    """One of settings.LANGUAGES. Reads the person who is signed in, as every page does."""
    if settings.SESSION_COOKIE_NAME in request.COOKIES:
        chosen = getattr(request.user, "language", "")
        if chosen in dict(settings.LANGUAGES):
            return str(chosen)
    return get_language_from_request(request)


@sync_and_async_middleware
def languages(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Answer pages in their reader's language."""

    def labelled(response: HttpResponseBase, language: str) -> HttpResponseBase:
        response.headers.setdefault("Content-Language", language)
        patch_vary_headers(response, ["Accept-Language", "Cookie"])
        return response

    if iscoroutinefunction(get_response):

        async def middleware(request: HttpRequest) -> HttpResponseBase:
            if not for_people(request.path_info):
                told: HttpResponseBase = await get_response(request)
                return told
            language = await sync_to_async(language_of)(request)
            with override(language):
                return labelled(await get_response(request), language)

        return middleware

    def plain(request: HttpRequest) -> HttpResponseBase:
        if not for_people(request.path_info):
            told: HttpResponseBase = get_response(request)
            return told
        language = language_of(request)
        with override(language):
            return labelled(get_response(request), language)

    return plain
