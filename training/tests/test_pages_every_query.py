"""Every page there is, with the full cast, at its queries: a new one comes by itself."""

from types import SimpleNamespace

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from training.tests.test_browser_every_page import addresses, full

__all__ = ["addresses", "full"]  # fixtures
MOST = 25


def test_no_page_makes_more_queries_than_a_page_may(full: SimpleNamespace, addresses: dict[str, str]) -> None:
    visitor, dear = Client(), {}
    visitor.force_login(full.boss)
    ours = {name: address for name, address in addresses.items() if not address.startswith("/admin/")}
    for name, address in ours.items():
        with CaptureQueriesContext(connection) as queries:
            visitor.get(address)
        if len(queries) > MOST:
            dear[name] = len(queries)
    assert not dear and len(ours) > 40
