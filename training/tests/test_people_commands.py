"""Commands for people: an organization with its admin, and invitations."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from django.core import mail
from django.core.management import CommandError, call_command

from training.models import Invitation, Membership, Organization, Role

pytestmark = pytest.mark.django_db


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    call_command(*arguments, "--json")
    return json.loads(capsys.readouterr().out)


def test_an_organization_is_made_with_its_admin(cast: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    told = said(capsys, "create_organization", "Vision Lab", "--admin", "stranger@example.com")
    made = Organization.objects.get(slug="vision-lab")
    assert told["id"] == made.pk and told["address"].endswith(f"/organizations/{made.pk}/")
    assert Membership.objects.get(organization=made).user == cast.stranger


def test_an_admin_who_is_not_there_makes_no_organization(cast: SimpleNamespace) -> None:
    with pytest.raises(CommandError, match="no user 'nobody'"):
        call_command("create_organization", "Lab", "--admin", "nobody")
    assert Organization.objects.count() == 2


def test_an_invitation_is_sent_and_its_link_printed(cast: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    told = said(capsys, "invite", "new@example.com", "--organization", "ours", "--role", "admin")
    assert told["sent"] and told["link"] in mail.outbox[0].body
    assert Invitation.objects.get().role == Role.ADMIN and Invitation.objects.get().created_by is None


def test_without_a_mail_server_the_link_is_handed_over(
    cast: SimpleNamespace, capsys: pytest.CaptureFixture[str], settings: Any
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    call_command("invite", "new@example.com", "--organization", "ours")
    assert "Hand over the link yourself" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x", "--organization", "ours"), "valid email"),
        (("a@b.cd", "--organization", "none"), "Known: ours, theirs"),
        (("owner@example.com", "--organization", "ours"), "a member already"),
    ],
)
def test_what_is_wrong_is_said(cast: SimpleNamespace, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("invite", *arguments)
