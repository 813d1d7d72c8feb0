"""HTTP clients that share one set of certificates, which takes 30 ms to read."""

from __future__ import annotations

import functools
import ssl

import httpx


@functools.cache
def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context()


def client(timeout: float, connections: int = 16) -> httpx.Client:
    """A persistent client; `timeout` in seconds, at most 5 of them to connect."""
    limits = httpx.Limits(max_connections=connections)
    return httpx.Client(
        timeout=httpx.Timeout(timeout, connect=min(5.0, timeout)), limits=limits, verify=_certificates()
    )
