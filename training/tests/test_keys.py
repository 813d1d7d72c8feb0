"""API keys: shown once, good for one organization and their scopes, dead once revoked."""

import re
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from training.models import ApiKey, Membership, Role, User
from training.people.keys import READ, WRITE, key_caller, key_create, key_revoke
from training.tests.conftest import person

pytestmark = pytest.mark.django_db
PAGE = "/account/keys/"


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def key_of(cast: SimpleNamespace, **options: Any) -> tuple[ApiKey, str]:
    return key_create(cast.owner, cast.organization, "nightly", **{"write": True, **options})


def said(cast: SimpleNamespace, **fields: Any) -> dict[str, Any]:
    return {"name": "nightly", "organization": cast.organization.pk, "scope": "read", "days": 30, **fields}


def test_a_key_tells_whose_it_is(cast: SimpleNamespace) -> None:
    _, token = key_of(cast)
    caller = key_caller(f"Bearer {token}")
    assert caller is not None and caller.user == cast.owner and caller.organization_id == cast.organization.pk


def test_the_secret_is_nowhere_in_the_database(cast: SimpleNamespace) -> None:
    key, token = key_of(cast)
    secret = token.split("_", 2)[2]
    assert len(secret) == 43  # 256 bits in base64
    assert secret not in repr(ApiKey.objects.filter(pk=key.pk).values())


@pytest.mark.parametrize("spoil", [lambda t: t[:-1], lambda t: t + "x", lambda t: t[4:], lambda t: t.replace("_", " ")])
def test_what_is_nearly_a_key_opens_nothing(cast: SimpleNamespace, spoil: Any) -> None:
    assert key_caller(f"Bearer {spoil(key_of(cast)[1])}") is None


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic vtk_a_b", "Bearer vtk__", "Bearer vtk_\x00_x", "é" * 999]
)
def test_what_is_no_key_at_all_opens_nothing(cast: SimpleNamespace, header: str) -> None:
    assert key_caller(header) is None


def test_a_key_that_was_revoked_or_is_too_old_opens_nothing(cast: SimpleNamespace) -> None:
    key, token = key_of(cast)
    key_revoke(key)
    _, other = key_of(cast, days=1)
    ApiKey.objects.filter(revoked_at=None).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert key_caller(f"Bearer {token}") is None and key_caller(f"Bearer {other}") is None


def test_a_key_goes_with_its_owners_membership_and_role(cast: SimpleNamespace) -> None:
    _, token = key_of(cast)
    membership = Membership.objects.filter(user=cast.owner)
    membership.update(role=Role.STANDARD_ENGINEER)
    assert key_caller(f"Bearer {token}") is None
    membership.update(role=Role.MANAGER)
    assert key_caller(f"Bearer {token}") is not None
    User.objects.filter(pk=cast.owner.pk).update(is_active=False)
    assert key_caller(f"Bearer {token}") is None


def test_a_key_for_reading_may_not_write(cast: SimpleNamespace) -> None:
    caller = key_caller(f"Bearer {key_of(cast, write=False)[1]}")
    assert caller is not None and caller.may(READ) and not caller.may(WRITE)


def test_its_last_use_is_kept_to_the_minute(cast: SimpleNamespace, django_assert_num_queries: Any) -> None:
    key, token = key_of(cast)
    key_caller(f"Bearer {token}")
    key.refresh_from_db()
    assert key.last_used_at is not None
    with django_assert_num_queries(2):
        key_caller(f"Bearer {token}")


def test_the_page_shows_a_new_key_once_and_it_works(cast: SimpleNamespace) -> None:
    client = browser(cast.owner)
    response = client.post(PAGE, said(cast))
    token = re.search(r'id="secret">(.*?)<', response.content.decode())[1]  # type: ignore[index]
    assert key_caller(f"Bearer {token}") is not None and response["Cache-Control"] == "no-store"
    assert token not in client.get(PAGE).content.decode()


def test_a_form_with_mistakes_makes_no_key_and_says_so(cast: SimpleNamespace) -> None:
    client = browser(cast.owner)
    for wrong in ({"name": ""}, {"name": "x" * 81}, {"scope": "all"}, {"days": "-1"}, {"organization": ""}):
        response = client.post(PAGE, said(cast, **wrong))
        assert response.status_code == 400 and b'role="alert"' in response.content
    assert not ApiKey.objects.exists()


def test_another_organizations_id_is_404_and_too_low_a_role_403(cast: SimpleNamespace) -> None:
    assert browser(cast.owner).post(PAGE, said(cast, organization=cast.theirs.pk)).status_code == 404
    assert browser(cast.teammate).post(PAGE, said(cast)).status_code == 403
    assert "Advanced engineers" in browser(cast.teammate).get(PAGE).content.decode()


def test_one_sees_and_revokes_only_ones_own(cast: SimpleNamespace) -> None:
    key, token = key_of(cast)
    manager = browser(person("boss", cast.organization, Role.MANAGER))
    assert key.prefix not in manager.get(PAGE).content.decode()
    assert manager.post(reverse("key-revoke", args=[key.pk])).status_code == 404
    assert browser(cast.owner).post(reverse("key-revoke", args=[key.pk])).status_code == 302
    assert key_caller(f"Bearer {token}") is None


def test_revoking_needs_a_post_with_csrf(cast: SimpleNamespace) -> None:
    key, _ = key_of(cast)
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.owner)
    assert client.get(reverse("key-revoke", args=[key.pk])).status_code == 405
    assert client.post(reverse("key-revoke", args=[key.pk])).status_code == 403


def test_a_keys_name_is_text(cast: SimpleNamespace) -> None:
    key_create(cast.owner, cast.organization, '<img src=x onload="alert(1)">', write=False)
    page = browser(cast.owner).get(PAGE).content.decode()
    assert "&lt;img" in page and "<img" not in page


def test_the_page_has_no_inline_scripts_or_styles(cast: SimpleNamespace) -> None:
    page = browser(cast.owner).post(PAGE, said(cast)).content.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)", page) and not re.search(r"\s(style|on\w+)=", page)


def test_a_key_is_not_a_way_into_pages(cast: SimpleNamespace) -> None:
    headers = {"Authorization": f"Bearer {key_of(cast)[1]}"}
    assert Client().get(PAGE, headers=headers).status_code == 302
