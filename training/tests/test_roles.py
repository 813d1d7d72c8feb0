"""The role matrix: every action has its line, and the answers are those of the specification."""

from types import SimpleNamespace

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied

from training.models import Dataset, Membership, Role, User
from training.people.roles import MATRIX, Action, allowed, organization_of, require, role_of
from training.tests.conftest import job_make, person

pytestmark = pytest.mark.django_db
ANYONE, STANDARD, ADVANCED, MANAGER, ADMIN = Role


def test_every_action_has_its_line() -> None:
    assert set(MATRIX) == set(Action)


def test_who_made_it_never_needs_a_higher_role_than_who_did_not() -> None:
    assert all(least.own is None or least.anything.at_least(least.own) for least in MATRIX.values())


@pytest.mark.parametrize(
    ("action", "least", "least_for_own"),
    [
        (Action.SEE, ANYONE, ANYONE),
        (Action.CREATE_JOB, STANDARD, STANDARD),
        (Action.RESTART_JOB, ADVANCED, STANDARD),
        (Action.DELETE_JOB, MANAGER, ADVANCED),
        (Action.ARCHIVE_JOB, MANAGER, MANAGER),
        (Action.ARCHIVE_EXPERIMENT, MANAGER, MANAGER),
        (Action.NOTE_JOB, ADVANCED, STANDARD),
        (Action.USE_API_KEYS, ADVANCED, ADVANCED),
        (Action.INVITE, MANAGER, MANAGER),
        (Action.SEE_AUDIT_LOG, ADMIN, ADMIN),
    ],
)
def test_a_role_may_what_the_roles_below_it_may(
    cast: SimpleNamespace, action: Action, least: Role, least_for_own: Role
) -> None:
    for role in Role:
        member = person(f"the-{role}", cast.organization, role)
        assert allowed(member, action, job_make(cast)) is role.at_least(least)
        assert allowed(member, action, job_make(cast, created_by=member)) is role.at_least(least_for_own)


def test_nobody_may_do_anything_to_what_belongs_to_others(cast: SimpleNamespace) -> None:
    job = job_make(cast, created_by=cast.stranger)  # not even the one who made it, once out of the organization
    assert not any(allowed(cast.stranger, action, job) for action in Action)


def test_a_superuser_is_no_member_by_itself(cast: SimpleNamespace) -> None:
    root = User.objects.create_superuser("root", "root@example.com", "a long enough password")
    assert role_of(root, cast.organization) is None and not allowed(root, Action.SEE, cast.organization)


def test_an_account_that_is_switched_off_and_nobody_at_all_have_no_role(cast: SimpleNamespace) -> None:
    cast.owner.is_active = False
    assert role_of(cast.owner, cast.organization) is None
    assert role_of(AnonymousUser(), cast.organization) is None


def test_a_role_counts_from_the_moment_that_it_is_changed(cast: SimpleNamespace) -> None:
    Membership.objects.filter(user=cast.owner).update(role=Role.GUEST)
    assert not allowed(cast.owner, Action.CREATE_JOB, cast.organization)
    Membership.objects.filter(user=cast.owner).delete()
    assert not allowed(cast.owner, Action.SEE, cast.organization)


def test_a_refusal_is_a_sentence(cast: SimpleNamespace) -> None:
    with pytest.raises(PermissionDenied, match=r"Your role does not allow you to cancel this job\."):
        require(cast.teammate, Action.CANCEL_JOB, job_make(cast))


def test_the_organization_is_found_from_any_row_of_it(cast: SimpleNamespace) -> None:
    dataset = Dataset.objects.create(organization=cast.organization, name="d", format="yolo", task_type="detection")
    rows = (cast.organization, cast.experiment, cast.experiment.project, dataset, job_make(cast))
    assert {organization_of(row) for row in rows} == {cast.organization.pk}
