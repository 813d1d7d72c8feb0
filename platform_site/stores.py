"""A store that is away: people's requests wait for it only shortly, and are told so plainly."""

import logging
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.decorators import sync_and_async_middleware

from training.storage.store import StoreAway, in_a_hurry

RETRY_SECONDS = 10
logger = logging.getLogger(__name__)


@sync_and_async_middleware
def stores_away(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Ask stores without patience while a person waits, and answer 503 with a page where one is away."""
    if iscoroutinefunction(get_response):

        async def middleware(request: HttpRequest) -> HttpResponseBase:
            with in_a_hurry():
                response: HttpResponseBase = await get_response(request)
            return response

        middleware.process_exception = told  # type: ignore[attr-defined]
        return middleware

    def plain(request: HttpRequest) -> HttpResponseBase:
        with in_a_hurry():
            response: HttpResponseBase = get_response(request)
        return response

    plain.process_exception = told  # type: ignore[attr-defined]
    return plain


def told(request: HttpRequest, error: Exception) -> HttpResponse | None:
    """The answer to a request that found a store away; None for every other exception."""
    if not isinstance(error, StoreAway):
        return None
    logger.warning("A page needed a store that is away: %s", error)
    response = render(request, "503.html", status=503)
    response["Retry-After"] = str(RETRY_SECONDS)
    return response
