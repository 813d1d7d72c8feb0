"""Many at the same time: an invitation brings one in, an organization keeps an admin, and no try goes uncounted."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connections

from training.models import Membership, Role, TryCount
from training.people.accounts import LinkGone
from training.people.invitations import invitation_accept, invitation_create
from training.people.limits import TooMany, limit_take
from training.people.members import LastAdmin, member_remove
from training.tests.conftest import person

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*calls: Callable[[], Any]) -> list[str]:
    """What became of each call, all begun at the same moment: the name of its exception, or nothing."""
    ready = Barrier(len(calls))

    def run(call: Callable[[], Any]) -> str:
        try:
            ready.wait(30)
            call()
        except (LinkGone, LastAdmin, TooMany) as error:
            return type(error).__name__
        finally:
            connections.close_all()
        return ""

    with ThreadPoolExecutor(len(calls)) as pool:
        return sorted(pool.map(run, calls))


def test_an_invitation_brings_one_in(cast: SimpleNamespace) -> None:
    _, path = invitation_create(cast.organization, "new@example.com", Role.GUEST, cast.owner)
    people = [person(f"p{number}") for number in range(4)]
    secret = path.split("/")[-2]
    got = at_once(*[lambda one=one: invitation_accept(secret, one) for one in people])  # type: ignore[misc]
    assert got == ["", "LinkGone", "LinkGone", "LinkGone"]
    assert Membership.objects.filter(user__in=people).count() == 1


def test_two_admins_do_not_both_leave(cast: SimpleNamespace) -> None:
    other = person("other", cast.organization, Role.ADMIN)
    both = (cast.owner, other)
    leave = [lambda one=one: member_remove(cast.organization, one, one, Role.ADMIN) for one in both]  # type: ignore[misc]
    assert at_once(*leave) == ["", "LastAdmin"]
    assert Membership.objects.filter(organization=cast.organization, role=Role.ADMIN).count() == 1


def test_no_more_than_the_allowed_tries_come_through(cast: SimpleNamespace, settings: Any) -> None:
    settings.TRIES_PER_ACCOUNT = 3
    got = at_once(*[lambda: limit_take("sign-in", target="account 1")] * 8)
    assert got.count("") <= 3 and TryCount.objects.get().count == 8
