"""Accounts: made by a proved address, recovered by it; guessing is slowed, and no answer tells who has an account."""

import re
from types import SimpleNamespace
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from training.models import ApiKey, AuditEntry, Membership, Organization, Role, TryCount, User
from training.people.accounts import sign_up_ask
from training.people.mails import mails_flush
from training.tests.conftest import person
from training.tests.test_pages import browser

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"
NEW = {"username": "kim", "password": PASSWORD, "organization": "비전팀"}


def letter(number: int = -1) -> str:
    mails_flush()
    return str(mail.outbox[number].body)


def link_in(text: str) -> str:
    """The path of a letter's link, which begins with SITE_URL whatever the request said."""
    return re.search(r"^http://127\.0\.0\.1:8000(/\S+)$", text, re.MULTILINE)[1]  # type: ignore[index]


def signed_up(client: Client, email: str = "kim@example.com") -> Any:
    client.post("/sign-up/", {"email": email})
    return client.post(link_in(letter()), NEW)


def bare(response: Any) -> str:
    """A page without its tokens and its time, which differ each time."""
    return re.sub(
        r'name="csrfmiddlewaretoken" value="\w+"|x-csrftoken": "\w+|data-now="\d+"', "", response.content.decode()
    )


def sign_in(client: Client, name: str, password: str = "a long enough password", **more: Any) -> Any:
    return client.post("/sign-in/", {"username": name, "password": password}, **more)


def test_signing_up_makes_an_account_and_its_own_organization(client: Client) -> None:
    response = signed_up(client)
    made = Organization.objects.get(name="비전팀")
    assert response.status_code == 302 and response["Location"] == f"/organizations/{made.pk}/"
    assert Membership.objects.get(organization=made).role == Role.ADMIN
    assert client.get("/account/").status_code == 200


def test_nothing_is_made_before_the_address_is_proved(client: Client) -> None:
    assert client.post("/sign-up/", {"email": "kim@example.com"}).status_code == 200
    assert not User.objects.exists() and client.get(link_in(letter())).status_code == 200
    assert not User.objects.exists()


def test_a_link_makes_one_account(client: Client) -> None:
    signed_up(client)
    assert Client().post(link_in(letter(0)), {**NEW, "username": "other"}).status_code == 404
    assert User.objects.count() == 1


def test_no_answer_tells_whether_an_address_has_an_account(cast: SimpleNamespace) -> None:
    for page in ("/sign-up/", "/password/reset/"):
        known = Client().post(page, {"email": "owner@example.com"})
        unknown = Client().post(page, {"email": "nobody@example.com"})
        assert known.status_code == unknown.status_code == 200
        assert bare(known).replace("owner@", "nobody@") == bare(unknown)


def test_a_known_address_is_told_that_it_has_an_account(cast: SimpleNamespace) -> None:
    sign_up_ask("OWNER@example.com")
    assert "has an account already" in letter() and "/sign-up/" not in letter()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", "owner"),
        ("username", "a@b.c"),
        ("username", "x" * 151),
        ("username", "<b>"),
        ("password", "short"),
        ("password", "password123"),
        ("password", "kim@example.com"),
        ("organization", " "),
        ("organization", "x" * 121),
    ],
)
def test_what_is_wrong_is_said_at_its_field(cast: SimpleNamespace, client: Client, field: str, value: str) -> None:
    client.post("/sign-up/", {"email": "kim@example.com"})
    response = client.post(link_in(letter()), {**NEW, field: value})
    assert response.status_code == 400 and b'role="alert"' in response.content
    assert not User.objects.filter(email="kim@example.com").exists()


def test_a_closed_sign_up_is_by_invitation_only(client: Client, settings: Any) -> None:
    client.post("/sign-up/", {"email": "kim@example.com"})
    settings.SIGN_UP_OPEN = False
    assert client.get("/sign-up/").status_code == 403
    assert client.post("/sign-up/", {"email": "a@b.cd"}).status_code == 403
    assert client.post(link_in(letter()), NEW).status_code == 404
    assert "/sign-up/" not in client.get("/sign-in/").content.decode()


@pytest.mark.parametrize("name", ["owner", "owner@example.com", "OWNER@Example.com"])
def test_one_signs_in_by_name_or_address(cast: SimpleNamespace, client: Client, name: str) -> None:
    assert sign_in(client, name).status_code == 302
    assert sign_in(Client(), name, "wrong").status_code == 200


def test_signing_in_begins_a_session_with_a_new_id(cast: SimpleNamespace, client: Client) -> None:
    session = client.session
    session["planted"] = True
    session.save()
    before = session.session_key
    sign_in(client, "owner")
    assert client.session.session_key != before


@pytest.mark.parametrize("place", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_after_signing_in_one_stays_here(cast: SimpleNamespace, client: Client, place: str) -> None:
    response = client.post("/sign-in/", {"username": "owner", "password": "a long enough password", "next": place})
    assert response["Location"] == "/"


def test_a_refusal_is_the_same_for_every_reason(cast: SimpleNamespace) -> None:
    User.objects.filter(pk=cast.teammate.pk).update(is_active=False)
    tried = [("owner", "wrong"), ("nobody", "wrong"), ("teammate", "a long enough password")]
    assert len({bare(sign_in(Client(), *one)).replace(one[0], "…") for one in tried}) == 1


def test_after_too_many_wrong_passwords_even_the_right_one_waits(cast: SimpleNamespace, settings: Any) -> None:
    settings.TRIES_PER_ACCOUNT = 3
    tries = [sign_in(Client(), name, "wrong").status_code for name in ("owner", "owner@example.com", "owner")]
    refused = sign_in(Client(), "owner")
    assert tries == [200, 200, 200] and refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= 900 and b"Wait 15 minutes" in refused.content
    assert sign_in(Client(), "teammate").status_code == 302


def test_a_name_that_is_not_there_is_limited_alike(cast: SimpleNamespace, settings: Any) -> None:
    settings.TRIES_PER_ACCOUNT = 2
    assert [sign_in(Client(), "nobody", "x").status_code for _ in range(3)] == [200, 200, 429]


def test_a_good_sign_in_takes_its_tries_back(cast: SimpleNamespace, settings: Any) -> None:
    settings.TRIES_PER_ACCOUNT = settings.TRIES_PER_ADDRESS = 2
    for _ in range(3):
        assert sign_in(Client(), "owner", "wrong").status_code == 200
        assert sign_in(Client(), "owner").status_code == 302
        TryCount.objects.filter(count__gt=0).update(count=0)


def test_one_address_may_not_try_many_accounts(cast: SimpleNamespace, settings: Any) -> None:
    settings.TRIES_PER_ADDRESS = 3
    got = [sign_in(Client(), f"n{number}", "x", REMOTE_ADDR="203.0.113.9").status_code for number in range(4)]
    assert got == [200, 200, 200, 429]
    assert sign_in(Client(), "owner").status_code == 302  # from elsewhere
    lied = {"X-Forwarded-For": "198.51.100.4"}
    assert sign_in(Client(), "owner", REMOTE_ADDR="203.0.113.9", headers=lied).status_code == 429


@pytest.mark.parametrize(
    ("page", "fields"), [("/sign-up/", {"email": "a@b.cd"}), ("/password/reset/", {"email": "owner@example.com"})]
)
def test_letters_are_limited(cast: SimpleNamespace, settings: Any, page: str, fields: dict[str, str]) -> None:
    settings.TRIES_PER_ACCOUNT = 2
    assert [Client().post(page, fields).status_code for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize("page", ["/sign-up/made:up/", "/invitations/made-up/", "/password/reset/MQ/made-up/"])
def test_guessing_links_is_limited(db: None, settings: Any, page: str) -> None:
    settings.TRIES_PER_ADDRESS = 2
    assert [Client().get(page).status_code for _ in range(3)] == [404, 404, 429]


def test_tries_are_forgotten_after_a_quarter_of_an_hour(cast: SimpleNamespace, settings: Any) -> None:
    settings.TRIES_PER_ACCOUNT = 1
    assert [sign_in(Client(), "owner", "x").status_code for _ in range(2)] == [200, 429]
    for row in TryCount.objects.all():
        TryCount.objects.filter(pk=row.pk).update(started_at=row.started_at.replace(year=2020))
    assert sign_in(Client(), "owner").status_code == 302


def test_a_new_password_by_letter_ends_every_session(cast: SimpleNamespace) -> None:
    elsewhere = browser(cast.owner)
    client = Client()
    client.post("/password/reset/", {"email": "owner@example.com"}, headers={"X-Forwarded-Host": "evil.example"})
    place = client.get(link_in(letter()))["Location"]
    assert "set-password" in place and client.post(place, {"password": PASSWORD}).status_code == 302
    assert elsewhere.get("/account/").status_code == 302
    assert sign_in(Client(), "owner", PASSWORD).status_code == 302
    assert "has been changed" in letter()


def test_a_reset_link_works_once_and_says_the_same_when_it_does_not(cast: SimpleNamespace) -> None:
    client = Client()
    client.post("/password/reset/", {"email": "owner@example.com"})
    address = link_in(letter())
    client.post(client.get(address)["Location"], {"password": PASSWORD})
    used, made_up = Client().get(address), Client().get("/password/reset/MQ/abc-def/")
    assert used.status_code == made_up.status_code == 404
    assert bare(used) == bare(made_up)


def test_an_account_that_is_switched_off_gets_no_letter(cast: SimpleNamespace) -> None:
    User.objects.update(is_active=False)
    assert Client().post("/password/reset/", {"email": "owner@example.com"}).status_code == 200
    mails_flush()
    assert mail.outbox == []


def test_changing_the_password_ends_the_other_sessions_only(cast: SimpleNamespace) -> None:
    here, elsewhere = browser(cast.owner), browser(cast.owner)
    before = here.session.session_key
    said = {"old_password": "a long enough password", "password": PASSWORD}
    assert here.post("/account/password/", {**said, "old_password": "x"}).status_code == 400
    assert here.post("/account/password/", said).status_code == 302
    assert here.get("/account/").status_code == 200 and here.session.session_key != before
    assert elsewhere.get("/account/").status_code == 302


def test_guessing_the_present_password_is_limited_too(cast: SimpleNamespace, settings: Any) -> None:
    settings.TRIES_PER_ACCOUNT = 2
    client = browser(cast.owner)
    said = {"old_password": "x", "password": PASSWORD}
    assert [client.post("/account/password/", said).status_code for _ in range(3)] == [400, 400, 429]


def test_a_new_address_counts_once_its_link_was_opened(cast: SimpleNamespace) -> None:
    client = browser(cast.owner)
    client.post("/account/email/", {"email": "new@example.com", "old_password": "a long enough password"})
    place = link_in(letter())
    assert browser(cast.stranger).get(place).status_code == 404
    assert client.get(place).status_code == 200 and User.objects.get(pk=cast.owner.pk).email == "owner@example.com"
    client.post(place)
    assert User.objects.get(pk=cast.owner.pk).email == "new@example.com"
    mails_flush()
    assert mail.outbox[-1].to == ["owner@example.com"] and client.post(place).status_code == 404


def test_somebody_elses_address_is_never_taken(cast: SimpleNamespace) -> None:
    client = browser(cast.owner)
    said = {"email": "Stranger@example.com", "old_password": "a long enough password"}
    assert client.post("/account/email/", said).status_code == 200
    assert "has an account already" in letter()


def test_a_name_is_changed_and_written_down(cast: SimpleNamespace) -> None:
    client = browser(cast.owner)
    assert client.post("/account/", {"username": "stranger"}).status_code == 400
    assert client.post("/account/", {"username": "boss", "first_name": "김"}).status_code == 302
    entry = AuditEntry.objects.get(action="account.name")
    assert entry.old["username"] == "owner" and entry.new["first_name"] == "김"


def test_the_log_tells_of_sign_ins_and_never_of_a_password(cast: SimpleNamespace, client: Client) -> None:
    sign_in(client, "owner", "my-wrong-guess")
    sign_in(client, "my-secret-typed-as-name", "x")
    sign_in(client, "owner")
    client.post("/sign-out/")
    actions = list(AuditEntry.objects.order_by("id").values_list("action", flat=True))
    assert actions == ["account.sign_in_refused"] * 2 + ["account.sign_in", "account.sign_out"]
    assert "my-" not in repr(list(AuditEntry.objects.values()))


def test_the_admins_own_sign_in_is_ours(cast: SimpleNamespace, client: Client) -> None:
    assert client.get("/admin/", follow=True).redirect_chain[-1][0].startswith("/sign-in/?next=")
    assert browser(cast.owner).get("/admin/", follow=True).status_code == 403


def test_keys_outlive_a_change_of_password(cast: SimpleNamespace) -> None:
    from training.people.keys import key_caller, key_create

    _, token = key_create(cast.owner, cast.organization, "nightly", write=False)
    said = {"old_password": "a long enough password", "password": PASSWORD}
    browser(cast.owner).post("/account/password/", said)
    assert key_caller(f"Bearer {token}") is not None and ApiKey.objects.get().revoked_at is None


@pytest.mark.parametrize("page", ["/sign-in/", "/sign-up/", "/password/reset/", "/account/", "/account/password/"])
def test_pages_of_accounts_hold_no_inline_scripts_or_styles(cast: SimpleNamespace, page: str) -> None:
    for client in (Client(), browser(person("someone", cast.organization))):
        text = client.get(page).content.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)", text) and not re.search(r"\s(style|on\w+)=", text)
