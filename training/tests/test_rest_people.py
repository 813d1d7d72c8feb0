"""REST of people: what pages can do, with the same rights, for one organization a key."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from training.models import AuditEntry, Invitation, Membership, Project, Role
from training.people.audit import audit
from training.people.keys import key_create
from training.tests.conftest import person

pytestmark = pytest.mark.django_db
BASE = "/api/v1/training"


class Program:
    """Calls with a key of the owner."""

    def __init__(self, cast: SimpleNamespace) -> None:
        _, token = key_create(cast.owner, cast.organization, "a program", write=True)
        self.headers = {"Authorization": f"Bearer {token}"}
        self.base = f"{BASE}/organizations/{cast.organization.pk}"

    def __call__(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        address = path if path.startswith("/api") else self.base + path
        given = {"data": body, "content_type": "application/json"} if body is not None else {}
        answer = getattr(Client(), method)(address, headers=self.headers, **given)
        assert answer.status_code == status, answer.content
        return answer.json() if answer.content else None


@pytest.fixture
def program(cast: SimpleNamespace) -> Program:
    return Program(cast)


def test_a_key_tells_of_its_own_organization_only(cast: SimpleNamespace, program: Program) -> None:
    Membership.objects.create(user=cast.owner, organization=cast.theirs, role=Role.ADMIN)
    assert [one["name"] for one in program("get", f"{BASE}/organizations")["items"]] == ["Ours"]
    program("get", f"{BASE}/organizations/{cast.theirs.pk}/members", status=404)
    program("get", f"{BASE}/organizations/{10**18}/members", status=404)


def test_members_are_listed_changed_and_removed(cast: SimpleNamespace, program: Program) -> None:
    names = [one["name"] for one in program("get", "/members")["items"]]
    assert sorted(names) == ["owner", "teammate"]
    member = f"/members/{cast.teammate.pk}"
    assert program("patch", member, {"role": "manager"})["role"] == "manager"
    program("patch", member, {"role": "emperor"}, status=422)
    program("delete", member, status=204)
    program("delete", member, status=404)


def test_the_last_admin_stays(cast: SimpleNamespace, program: Program) -> None:
    answer = program("delete", f"/members/{cast.owner.pk}", status=409)
    assert "last admin" in answer["detail"]
    program("patch", f"/members/{cast.owner.pk}", {"role": "guest"}, status=409)


def test_people_are_invited_again_and_no_more(cast: SimpleNamespace, program: Program) -> None:
    made = program("post", "/invitations", {"email": "new@example.com", "role": "guest"}, status=201)
    assert made["created_by"] == "owner" and made["sent_at"] and len(mail.outbox) == 1
    program("post", f"/invitations/{made['id']}/resend")
    program("delete", f"/invitations/{made['id']}", status=204)
    assert program("get", "/invitations")["items"] == [] and Invitation.objects.get().revoked_at is not None
    problem = program("post", "/invitations", {"email": "x", "role": "guest"}, status=422)
    assert problem["errors"][0]["field"] == "email"


def test_no_answer_holds_an_invitations_secret(cast: SimpleNamespace, program: Program) -> None:
    made = program("post", "/invitations", {"email": "new@example.com"}, status=201)
    secret = mail.outbox[0].body.split("/invitations/")[1].split("/")[0]
    assert secret not in repr(made) + repr(program("get", "/invitations"))


def test_inviting_too_much_is_429_with_when_to_try_again(
    cast: SimpleNamespace, program: Program, settings: Any
) -> None:
    settings.TRIES_PER_ACCOUNT = 1
    program("post", "/invitations", {"email": "new@example.com"}, status=201)
    answer = Client().post(
        f"{program.base}/invitations",
        {"email": "new@example.com"},
        content_type="application/json",
        headers=program.headers,
    )
    assert answer.status_code == 429 and int(answer["Retry-After"]) > 0
    assert answer["Content-Type"] == "application/problem+json"


def test_everybodys_keys_are_listed_and_revoked(cast: SimpleNamespace, program: Program) -> None:
    engineer = person("engineer", cast.organization, Role.ADVANCED_ENGINEER)
    key, token = key_create(engineer, cast.organization, "nightly", write=False)
    listed = program("get", "/keys")["items"]
    assert listed[0]["owner"] == "engineer" and token not in repr(listed) and "digest" not in repr(listed)
    program("delete", f"/keys/{key.pk}", status=204)
    program("delete", f"/keys/{key.pk}", status=404)


def test_the_log_is_read_page_by_page_and_filtered(cast: SimpleNamespace, program: Program) -> None:
    for number in range(3):
        audit("project.create", cast.experiment.project, by=cast.teammate, new={"name": str(number)})
    first = program("get", "/audit?action=project&limit=2")
    second = program("get", f"/audit?action=project&limit=2&cursor={first['next']}")
    assert [one["new"]["name"] for one in first["items"] + second["items"]] == ["2", "1", "0"]
    assert program("get", "/audit?who=nobody")["items"] == []
    program("get", "/audit?user__password__startswith=a", status=400)


def test_projects_are_made_changed_and_given_members(cast: SimpleNamespace, program: Program) -> None:
    made = program("post", f"{BASE}/projects", {"organization": cast.organization.pk, "name": "Cans"}, status=201)
    program("post", f"{BASE}/projects", {"organization": cast.organization.pk, "name": "Cans"}, status=422)
    program("post", f"{BASE}/projects", {"organization": cast.theirs.pk, "name": "Cans"}, status=404)
    address = f"{BASE}/projects/{made['id']}"
    assert program("patch", address, {"archived": True})["archived_at"]
    assert program("patch", address, {"name": "Tins", "archived": False})["archived_at"] is None
    assert program("get", f"{address}/members")["everybody"]
    program("post", f"{address}/members", {"user": cast.stranger.pk}, status=404)
    added = program("post", f"{address}/members", {"user": cast.teammate.pk}, status=201)
    assert added["items"] == [{"user_id": cast.teammate.pk, "name": "teammate"}] and not added["everybody"]
    program("delete", f"{address}/members/{cast.teammate.pk}", status=204)
    assert Project.objects.get(name="Tins").memberships.count() == 0


def test_what_a_program_changes_is_told_with_its_key(cast: SimpleNamespace, program: Program) -> None:
    program("patch", f"/members/{cast.teammate.pk}", {"role": "manager"})
    assert AuditEntry.objects.get(action="member.role").by.startswith("key vtk_")
