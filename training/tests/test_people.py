"""Organizations: invitations that work once, roles by the matrix, a last admin that stays, projects with members."""

import re
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.core import mail
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from training.models import (
    ApiKey,
    AuditEntry,
    Invitation,
    Membership,
    Organization,
    Project,
    ProjectMembership,
    Role,
    User,
)
from training.people.accounts import LinkGone
from training.people.audit import audit
from training.people.invitations import invitation_accept, invitation_create, invitation_resend, invite
from training.people.keys import key_caller, key_create
from training.people.members import LastAdmin, member_remove, member_role, organization_make
from training.people.roles import Action, allowed
from training.projects.members import project_member_add
from training.tests.conftest import job_make, person
from training.tests.test_pages import EVIL, browser, text_of, whole

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(cast: SimpleNamespace) -> str:
    return f"/organizations/{cast.organization.pk}/"


def secret_of(path: str) -> str:
    return path.split("/")[-2]


def invited(cast: SimpleNamespace, role: Role = Role.STANDARD_ENGINEER, by: User | None = None) -> str:
    return secret_of(invitation_create(cast.organization, "new@example.com", role, by or cast.owner)[1])


def test_an_invitation_is_mailed_and_brings_somebody_new_in(cast: SimpleNamespace, page: str) -> None:
    said = {"email": "new@example.com", "role": "standard_engineer"}
    assert browser(cast.owner).post(f"{page}invitations/", said).status_code == 302
    path = re.search(r"http://127.0.0.1:8000(/invitations/\S+)", str(mail.outbox[0].body))[1]  # type: ignore[index]
    client = Client()
    assert "Make the account and join" in text_of(client, path)
    client.post(path, {"username": "new", "password": "correct horse battery"})
    assert Membership.objects.get(user__username="new").role == Role.STANDARD_ENGINEER
    assert "Bottles" in text_of(client, "/projects/") and User.objects.get(username="new").email == "new@example.com"


def test_somebody_signed_in_accepts_with_a_button(cast: SimpleNamespace) -> None:
    path = f"/invitations/{invited(cast)}/"
    client = browser(cast.stranger)
    assert "Accept" in text_of(client, path) and not cast.organization.members.filter(pk=cast.stranger.pk).exists()
    client.post(path)
    assert cast.organization.members.filter(pk=cast.stranger.pk).exists()


def test_an_address_with_an_account_is_led_to_sign_in(cast: SimpleNamespace) -> None:
    _, path = invitation_create(cast.organization, "stranger@example.com", Role.GUEST, cast.owner)
    text = text_of(Client(), path)
    assert f"/sign-in/?next={path.replace('/', '%2F')}" in text and "password" not in text


def test_the_links_secret_is_nowhere_in_the_database(cast: SimpleNamespace) -> None:
    secret = invited(cast)
    assert len(secret) == 43 and secret not in repr(list(Invitation.objects.values()))
    assert secret not in repr(list(AuditEntry.objects.values()))


def test_an_invitation_works_once(cast: SimpleNamespace) -> None:
    secret = invited(cast)
    invitation_accept(secret, cast.stranger)
    with pytest.raises(LinkGone):
        invitation_accept(secret, person("other"))


@pytest.mark.parametrize("spoil", ["expires_at", "revoked_at"])
def test_one_that_is_too_old_or_revoked_opens_nothing(cast: SimpleNamespace, spoil: str) -> None:
    secret = invited(cast)
    Invitation.objects.update(**{spoil: timezone.now() - timedelta(seconds=1)})
    answers = [Client().get(f"/invitations/{one}/").status_code for one in (secret, "made-up")]
    assert answers == [404, 404] and browser(cast.stranger).post(f"/invitations/{secret}/").status_code == 404


def test_one_of_somebody_who_may_no_longer_invite_opens_nothing(cast: SimpleNamespace) -> None:
    boss = person("boss", cast.organization, Role.MANAGER)
    secret = invited(cast, by=boss)
    Membership.objects.filter(user=boss).update(role=Role.GUEST)
    with pytest.raises(LinkGone):
        invitation_accept(secret, cast.stranger)


def test_inviting_again_and_resending_end_the_older_link(cast: SimpleNamespace) -> None:
    first, second = invited(cast), invited(cast)
    (pending,) = Invitation.objects.filter(revoked_at=None)
    assert invitation_resend(pending, cast.owner) == ""
    for secret in (first, second):
        with pytest.raises(LinkGone):
            invitation_accept(secret, cast.stranger)
    assert "/invitations/" in mail.outbox[-1].body


def test_a_mail_server_that_refuses_is_told_to_who_invited(cast: SimpleNamespace, settings: Any, page: str) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9  # nobody listens there
    client = browser(cast.owner)
    client.post(f"{page}invitations/", {"email": "new@example.com", "role": "guest"})
    assert "could not be sent" in text_of(client, page) and "not sent" in text_of(client, page)


def test_a_manager_invites_up_to_advanced_engineer(cast: SimpleNamespace, page: str) -> None:
    boss = person("boss", cast.organization, Role.MANAGER)
    invite(cast.organization, "a@example.com", Role.ADVANCED_ENGINEER, boss)
    for role in (Role.MANAGER, Role.ADMIN):
        with pytest.raises(PermissionDenied):
            invite(cast.organization, "b@example.com", role, boss)
        answer = browser(boss).post(f"{page}invitations/", {"email": "b@example.com", "role": role})
        assert answer.status_code == 400
    admins, _ = invitation_create(cast.organization, "c@example.com", Role.ADMIN, cast.owner)
    assert browser(boss).post(f"{page}invitations/{admins.pk}/resend/").status_code == 403


@pytest.mark.parametrize("email", ["", "x", "a@b.cd\nBcc: x@y.zz", "teammate@example.com", f"{'x' * 250}@example.com"])
def test_an_address_that_will_not_do_is_said_so(cast: SimpleNamespace, page: str, email: str) -> None:
    answer = browser(cast.owner).post(f"{page}invitations/", {"email": email, "role": "guest"})
    assert answer.status_code == 400 and b'role="alert"' in answer.content and not Invitation.objects.exists()


def test_inviting_is_limited(cast: SimpleNamespace, page: str, settings: Any) -> None:
    settings.TRIES_PER_ACCOUNT = 2
    client, said = browser(cast.owner), {"email": "new@example.com", "role": "guest"}
    assert [client.post(f"{page}invitations/", said).status_code for _ in range(3)] == [302, 302, 429]


def test_a_role_is_changed_by_admins_and_written_down(cast: SimpleNamespace, page: str) -> None:
    address = f"{page}members/{cast.teammate.pk}/role/"
    assert browser(cast.owner).post(address, {"role": "manager"}).status_code == 302
    assert Membership.objects.get(user=cast.teammate).role == Role.MANAGER
    entry = AuditEntry.objects.get(action="member.role")
    assert (entry.object_name, entry.old, entry.new) == ("teammate", {"role": "guest"}, {"role": "manager"})
    browser(cast.owner).post(address, {"role": "emperor"})
    assert Membership.objects.get(user=cast.teammate).role == Role.MANAGER


def test_the_last_admin_stays(cast: SimpleNamespace, page: str) -> None:
    with pytest.raises(LastAdmin):
        member_role(cast.organization, cast.owner, Role.MANAGER, cast.owner)
    with pytest.raises(LastAdmin):
        member_remove(cast.organization, cast.owner, cast.owner, Role.ADMIN)
    client = browser(cast.owner)
    client.post(f"{page}members/{cast.owner.pk}/remove/")
    assert "last admin" in text_of(client, page)
    member_role(cast.organization, cast.teammate, Role.ADMIN, cast.owner)
    client.post(f"{page}members/{cast.owner.pk}/remove/")
    assert client.get(page).status_code == 404


def test_an_admin_who_is_switched_off_is_none(cast: SimpleNamespace) -> None:
    idle = person("idle", cast.organization, Role.ADMIN)
    User.objects.filter(pk=idle.pk).update(is_active=False)
    with pytest.raises(LastAdmin):
        member_role(cast.organization, cast.owner, Role.GUEST, cast.owner)


def test_who_is_removed_sees_nothing_and_their_keys_open_nothing(cast: SimpleNamespace, page: str) -> None:
    engineer = person("engineer", cast.organization, Role.ADVANCED_ENGINEER)
    _, token = key_create(engineer, cast.organization, "nightly", write=True)
    project_member_add(cast.experiment.project, engineer)
    boss = person("boss", cast.organization, Role.MANAGER)
    assert browser(boss).post(f"{page}members/{engineer.pk}/remove/").status_code == 302
    assert browser(engineer).get(page).status_code == 404 and key_caller(f"Bearer {token}") is None
    assert not ProjectMembership.objects.filter(user=engineer).exists()


def test_a_manager_removes_no_manager(cast: SimpleNamespace, page: str) -> None:
    boss, other = (person(name, cast.organization, Role.MANAGER) for name in ("boss", "other"))
    assert browser(boss).post(f"{page}members/{other.pk}/remove/").status_code == 403
    assert browser(boss).post(f"{page}members/{cast.owner.pk}/remove/").status_code == 403


def test_anybody_may_leave(cast: SimpleNamespace, page: str) -> None:
    client = browser(cast.teammate)
    assert client.post(f"{page}members/{cast.teammate.pk}/remove/")["Location"] == "/organizations/"
    assert "You belong to no organization" in text_of(client, "/organizations/")
    assert AuditEntry.objects.filter(action="member.leave").count() == 1


def test_a_members_mail_is_shown_to_those_who_invite(cast: SimpleNamespace, page: str) -> None:
    assert "owner@example.com" not in text_of(browser(cast.teammate), page)
    assert "owner@example.com" in text_of(browser(cast.owner), page)


def test_another_organization_of_ones_own(cast: SimpleNamespace, settings: Any) -> None:
    client = browser(cast.teammate)
    client.post("/organizations/", {"organization": "Ours"})
    made = Organization.objects.get(slug="ours-2")
    assert Membership.objects.get(organization=made).role == Role.ADMIN
    settings.SIGN_UP_OPEN = False
    assert client.post("/organizations/", {"organization": "More"}).status_code == 403


@pytest.mark.parametrize("name", ["", "  ", "x" * 121, "a\x00b"])
def test_a_name_that_can_not_be_kept_is_refused(db: None, name: str) -> None:
    with pytest.raises(ValidationError):
        organization_make(name)


def test_an_advanced_engineer_acts_in_the_projects_one_belongs_to(cast: SimpleNamespace) -> None:
    engineer = person("engineer", cast.organization, Role.ADVANCED_ENGINEER)
    job = job_make(cast)
    assert allowed(engineer, Action.CANCEL_JOB, job)  # the project belongs to everybody
    project_member_add(cast.experiment.project, cast.teammate)
    assert not allowed(engineer, Action.CANCEL_JOB, job) and not allowed(cast.teammate, Action.CANCEL_JOB, job)
    assert allowed(engineer, Action.CANCEL_JOB, job_make(cast, created_by=engineer))
    assert allowed(cast.owner, Action.CANCEL_JOB, job)
    project_member_add(cast.experiment.project, engineer)
    assert allowed(engineer, Action.CANCEL_JOB, job)


def test_only_members_of_the_organization_join_its_projects(cast: SimpleNamespace) -> None:
    with pytest.raises(ValidationError):
        project_member_add(cast.experiment.project, cast.stranger)
    address = f"/projects/{cast.experiment.project_id}/members/"
    browser(cast.owner).post(address, {"user": cast.stranger.pk})
    browser(cast.owner).post(address, {"user": "x"})
    browser(cast.owner).post(address, {"user": cast.teammate.pk})
    assert [one.user for one in ProjectMembership.objects.all()] == [cast.teammate]


def test_a_project_is_made_renamed_archived_and_taken_back(cast: SimpleNamespace) -> None:
    client = browser(cast.owner)
    client.post("/projects/new/", {"organization": cast.organization.pk, "name": "Cans"})
    made = Project.objects.get(name="Cans")
    assert client.post(f"/projects/{made.pk}/edit/", {"name": "Bottles"}).status_code == 422
    client.post(f"/projects/{made.pk}/edit/", {"name": "Tins"})
    client.post(f"/projects/{made.pk}/archive/")
    assert "Tins" not in text_of(client, "/projects/").split("</ul>")[-1]
    assert "Tins" in text_of(client, "/projects/?archived=1")
    client.post(f"/projects/{made.pk}/archive/", {"archived": "no"})
    actions = AuditEntry.objects.filter(object_type="project").order_by("id").values_list("action", flat=True)
    assert list(actions) == ["project.create", "project.edit", "project.archive", "project.restore"]


def test_an_admin_sees_and_revokes_everybodys_keys_of_the_organization(cast: SimpleNamespace, page: str) -> None:
    engineer = person("engineer", cast.organization, Role.ADVANCED_ENGINEER)
    key, token = key_create(engineer, cast.organization, "nightly", write=True)
    foreign, _ = key_create(cast.stranger, cast.theirs, "theirs", write=True)
    client = browser(cast.owner)
    text = text_of(client, f"{page}keys/")
    assert key.prefix in text and foreign.prefix not in text and token not in text
    assert client.post(f"{page}keys/{foreign.pk}/revoke/").status_code == 404
    client.post(f"{page}keys/{key.pk}/revoke/")
    entry = AuditEntry.objects.get(action="key.revoke")
    assert key_caller(f"Bearer {token}") is None and entry.who == "owner" and entry.old["owner"] == "engineer"


def test_the_log_is_filtered_by_person_action_object_and_day(cast: SimpleNamespace, page: str) -> None:
    audit("project.create", cast.experiment.project, by=cast.owner, new={"name": "A"})
    audit("member.add", cast.teammate, by=cast.teammate, organization=cast.organization)
    audit("project.create", Project.objects.create(organization=cast.theirs, name="Foreign"), by=cast.stranger)
    client = browser(cast.owner)
    today = timezone.now().date()
    for query, expected in {
        "": 2,
        "?who=teammate": 1,
        "?action=project.create": 1,
        "?action=project": 1,
        "?text=bott": 1,
        f"?object_type=member&object_id={cast.teammate.pk}": 1,
        f"?since={today}": 2,
        f"?until={today - timedelta(days=1)}": 0,
        "?since=nonsense&before=x": 2,
    }.items():
        text = text_of(client, f"{page}audit/{query}")
        assert len(re.findall(r"<code>(?:project|member)\.", text)) == expected, query
        assert "Foreign" not in text


def test_the_log_comes_page_by_page(cast: SimpleNamespace, page: str) -> None:
    for number in range(60):
        audit("project.create", cast.experiment.project, by=cast.owner, new={"name": f"n{number}"})
    client = browser(cast.owner)
    first = text_of(client, f"{page}audit/?action=project.create")
    older = re.search(r'href="(\?[^"]*before=\d+)"', first)[1].replace("&amp;", "&")  # type: ignore[index]
    second = text_of(client, f"{page}audit/{older}")
    assert first.count("<code>project.create") == 50 and second.count("<code>project.create") == 10


def test_the_logs_table_runs_nothing_in_a_spreadsheet(cast: SimpleNamespace, page: str) -> None:
    Project.objects.update(name="=cmd()|' /C calc'!A0")
    audit("project.create", Project.objects.get(), by=cast.owner)
    text = whole(browser(cast.owner).get(f"{page}audit.csv?action=project"))
    assert "'=cmd()" in text and ",=cmd()" not in text and text.startswith("time,who,by,action")
    assert AuditEntry.objects.filter(action="audit.download").exists()


def test_sign_ins_are_told_to_the_admins_of_ones_own_organizations_only(cast: SimpleNamespace, page: str) -> None:
    browser(cast.teammate)
    assert "account.sign_in" in text_of(browser(cast.owner), f"{page}audit/?who=teammate")
    theirs = text_of(browser(cast.stranger), f"/organizations/{cast.theirs.pk}/audit/")
    assert ">teammate<" not in theirs and ">stranger<" in theirs


def test_names_of_others_do_nothing_in_the_pages(cast: SimpleNamespace, page: str) -> None:
    Organization.objects.update(name=EVIL)
    Project.objects.update(name=EVIL)
    User.objects.filter(pk=cast.teammate.pk).update(username=EVIL, first_name=EVIL)
    key_create(cast.owner, cast.organization, EVIL, write=False)
    _, path = invitation_create(cast.organization, "new@example.com", Role.GUEST, cast.owner)
    edit = f"/projects/{cast.experiment.project_id}/edit/"
    for address in ("/organizations/", page, f"{page}keys/", f"{page}audit/", edit, path, "/account/"):
        text = text_of(browser(cast.owner), address)
        assert "<img" not in text and ' hx-get="/evil' not in text, address


def test_no_page_of_people_needs_many_queries(cast: SimpleNamespace, page: str) -> None:
    for number in range(60):
        member = person(f"m{number}", cast.organization, Role.ADVANCED_ENGINEER)
        invitation_create(cast.organization, f"i{number}@example.com", Role.GUEST, cast.owner)
        key_create(member, cast.organization, f"k{number}", write=False)
        project_member_add(cast.experiment.project, member, cast.owner)
    client = browser(cast.owner)
    edit = f"/projects/{cast.experiment.project_id}/edit/"
    pages = ("/organizations/", page, f"{page}keys/", f"{page}audit/", edit, "/account/", "/account/keys/")
    assert ApiKey.objects.count() == 60
    for address in pages:
        with CaptureQueriesContext(connection) as queries:
            text_of(client, address)
        assert len(queries) <= 25, address
