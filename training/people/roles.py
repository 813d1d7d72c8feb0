"""Who may do what: the role matrix as data, and the one question that pages, REST and sockets ask of it.

Whoever has no role in the object's organization may do nothing, superusers
included. Doors look the object up among what the person may see first, so
another organization's is 404; what the role is too low for is 403.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext, gettext_noop

from training.models import Membership, Organization, Project, ProjectMembership, Role, User
from training.people.origin import origin


class Action(StrEnum):
    """What a person may want to do; the value completes the sentence "Your role does not allow you to …"."""

    SEE = gettext_noop("see this")
    DOWNLOAD = gettext_noop("download tables and files")
    CREATE_JOB = gettext_noop("create jobs")
    START_JOB = gettext_noop("start this job")
    CANCEL_JOB = gettext_noop("cancel this job")
    RESTART_JOB = gettext_noop("restart this job")
    PRIORITIZE_JOB = gettext_noop("change this job's priority")
    USE_HIGH_PRIORITY = gettext_noop("give jobs a high priority")
    TAG_JOB = gettext_noop("tag this job")
    NOTE_JOB = gettext_noop("write notes on this job")
    DELETE_JOB = gettext_noop("delete this job")
    DELETE_CHECKPOINT = gettext_noop("delete checkpoints of this job")
    ARCHIVE_JOB = gettext_noop("archive this job")
    USE_ADVANCED_SETTINGS = gettext_noop("change advanced settings")
    CREATE_SWEEP = gettext_noop("start sweeps")
    IMPORT_DATASET = gettext_noop("import datasets")
    DELETE_DATASET = gettext_noop("delete this dataset")
    UPLOAD_WEIGHTS = gettext_noop("upload weights")
    DELETE_WEIGHTS = gettext_noop("delete these weights")
    EDIT_DATASET = gettext_noop("edit this dataset")
    CANCEL_IMPORT = gettext_noop("cancel this import")
    CREATE_EXPERIMENT = gettext_noop("create experiments")
    EDIT_EXPERIMENT = gettext_noop("edit this experiment")
    ARCHIVE_EXPERIMENT = gettext_noop("archive this experiment")
    CREATE_PRESET = gettext_noop("save presets")
    EDIT_PRESET = gettext_noop("change this preset")
    EXPORT_MODEL = gettext_noop("export this model")
    TEST_MODEL = gettext_noop("test this model")
    CREATE_DEPLOYMENT = gettext_noop("deploy models")
    USE_API_KEYS = gettext_noop("have API keys")
    MANAGE_PROJECTS = gettext_noop("manage projects")
    MANAGE_MEMBERS = gettext_noop("manage members")
    INVITE = gettext_noop("invite people")
    MANAGE_ALERTS = gettext_noop("manage alerts")
    EDIT_PRICES = gettext_noop("edit the price list")
    SEE_ANALYTICS = gettext_noop("see analytics")
    CHANGE_ROLES = gettext_noop("change roles")
    MANAGE_ALL_KEYS = gettext_noop("manage other people's API keys")
    MANAGE_BACKENDS = gettext_noop("manage tracking tools")
    MANAGE_TRAINERS = gettext_noop("manage trainers")
    MANAGE_ORGANIZATION = gettext_noop("change this organization")
    SEE_AUDIT_LOG = gettext_noop("see the audit log")


@dataclass(frozen=True, slots=True)
class Least:
    """The least role that may do it to anything, and the least that may to what one made oneself.

    With `of_project`, an advanced engineer's "anything" is what lies in the projects that one belongs to.
    """

    anything: Role
    own: Role | None = None
    of_project: bool = False


ENGINEERS_OWN = Least(Role.ADVANCED_ENGINEER, own=Role.STANDARD_ENGINEER, of_project=True)
MANAGERS_OR_MAKERS = Least(Role.MANAGER, own=Role.ADVANCED_ENGINEER)

MATRIX: dict[Action, Least] = {
    Action.SEE: Least(Role.GUEST),
    Action.DOWNLOAD: Least(Role.GUEST),
    Action.CREATE_JOB: Least(Role.STANDARD_ENGINEER),
    Action.START_JOB: ENGINEERS_OWN,
    Action.CANCEL_JOB: ENGINEERS_OWN,
    Action.RESTART_JOB: ENGINEERS_OWN,
    Action.PRIORITIZE_JOB: ENGINEERS_OWN,
    Action.USE_HIGH_PRIORITY: Least(Role.MANAGER),
    Action.TAG_JOB: ENGINEERS_OWN,
    Action.NOTE_JOB: ENGINEERS_OWN,
    Action.DELETE_JOB: MANAGERS_OR_MAKERS,
    Action.DELETE_CHECKPOINT: MANAGERS_OR_MAKERS,
    Action.ARCHIVE_JOB: Least(Role.MANAGER),
    Action.USE_ADVANCED_SETTINGS: Least(Role.ADVANCED_ENGINEER),
    Action.CREATE_SWEEP: Least(Role.ADVANCED_ENGINEER),
    Action.IMPORT_DATASET: Least(Role.STANDARD_ENGINEER),
    Action.DELETE_DATASET: MANAGERS_OR_MAKERS,
    Action.UPLOAD_WEIGHTS: Least(Role.STANDARD_ENGINEER),
    Action.DELETE_WEIGHTS: MANAGERS_OR_MAKERS,
    Action.EDIT_DATASET: ENGINEERS_OWN,
    Action.CANCEL_IMPORT: ENGINEERS_OWN,
    Action.CREATE_EXPERIMENT: Least(Role.STANDARD_ENGINEER),
    Action.EDIT_EXPERIMENT: ENGINEERS_OWN,
    Action.ARCHIVE_EXPERIMENT: Least(Role.MANAGER),
    Action.CREATE_PRESET: Least(Role.STANDARD_ENGINEER),
    Action.EDIT_PRESET: Least(Role.MANAGER, own=Role.STANDARD_ENGINEER),
    Action.EXPORT_MODEL: ENGINEERS_OWN,
    Action.TEST_MODEL: ENGINEERS_OWN,
    Action.CREATE_DEPLOYMENT: Least(Role.ADVANCED_ENGINEER),
    Action.USE_API_KEYS: Least(Role.ADVANCED_ENGINEER),
    Action.MANAGE_PROJECTS: Least(Role.MANAGER),
    Action.MANAGE_MEMBERS: Least(Role.MANAGER),
    Action.INVITE: Least(Role.MANAGER),
    Action.MANAGE_ALERTS: Least(Role.MANAGER),
    Action.EDIT_PRICES: Least(Role.MANAGER),
    Action.SEE_ANALYTICS: Least(Role.MANAGER),
    Action.CHANGE_ROLES: Least(Role.ADMIN),
    Action.MANAGE_ALL_KEYS: Least(Role.ADMIN),
    Action.MANAGE_BACKENDS: Least(Role.ADMIN),
    Action.MANAGE_TRAINERS: Least(Role.ADMIN),
    Action.MANAGE_ORGANIZATION: Least(Role.ADMIN),
    Action.SEE_AUDIT_LOG: Least(Role.ADMIN),
}


def role_of(user: User | AnonymousUser, organization: Organization | int) -> Role | None:
    """A person's role in an organization; None for strangers, and for accounts that are switched off.

    A page asks it many times over: while a request only reads, the first answer holds.
    """
    if not user.is_authenticated or not user.is_active:
        return None
    organization_id = organization if isinstance(organization, int) else organization.pk
    known, place = origin(), (user.pk, organization_id)
    if known.only_reads and place in known.roles:
        return known.roles[place]
    rows = Membership.objects.filter(user_id=user.pk, organization_id=organization_id).values_list("role", flat=True)
    known.roles[place] = next(map(Role, rows), None)
    return known.roles[place]


def allowed(user: User | AnonymousUser, action: Action, what: Any) -> bool:
    """Whether `user` may do `action` to `what`: an organization, or a row of something that belongs to one."""
    role = role_of(user, organization_of(what))
    if role is not None and _asks_project(role, action, what, user):
        return belongs(user, project_of(what))
    return _may(role, action, _own(what, user))


def allowed_each(user: User | AnonymousUser, action: Action, rows: Sequence[Any]) -> list[bool]:
    """`allowed` for each of many rows, by three queries; they have been read with the way to their organization."""
    if not user.is_authenticated or not user.is_active:
        return [False] * len(rows)
    roles = {one.organization_id: Role(one.role) for one in Membership.objects.filter(user_id=user.pk)}
    asked = {project_of(row) for row in rows if _asks_project(roles.get(organization_of(row)), action, row, user)}
    closed = projects_of_others(user, asked)
    return [
        project_of(row) not in closed
        if _asks_project(role := roles.get(organization_of(row)), action, row, user)
        else _may(role, action, _own(row, user))
        for row in rows
    ]


def projects_of_others(user: User | AnonymousUser, project_ids: Collection[int | None]) -> set[int | None]:
    """Of these projects, those with members of their own that the person is not among."""
    members = ProjectMembership.objects.filter(project__in=[one for one in project_ids if one is not None])
    closed: set[int | None] = set(members.values_list("project_id", flat=True))
    return closed - set(members.filter(user=user.pk or 0).values_list("project_id", flat=True))


def _own(what: Any, user: User | AnonymousUser) -> bool:
    return getattr(what, "created_by_id", None) == user.pk


def _asks_project(role: Role | None, action: Action, what: Any, user: User | AnonymousUser) -> bool:
    """Whether it depends on the project: an advanced engineer acts on others' things only where they belong."""
    least = MATRIX[action]
    return least.of_project and role == Role.ADVANCED_ENGINEER and not _own(what, user)


def _may(role: Role | None, action: Action, own: bool) -> bool:
    least = MATRIX[action]
    return role is not None and role.at_least(least.own if own and least.own is not None else least.anything)


def require(user: User | AnonymousUser, action: Action, what: Any) -> None:
    """Raise PermissionDenied, with a sentence for the person, unless it is `allowed`."""
    if not allowed(user, action, what):
        raise PermissionDenied(refusal(action))


def refusal(action: Action) -> str:
    """The sentence for whoever may not."""
    return gettext("Your role does not allow you to %(action)s.") % {"action": gettext(action)}


def belongs(user: User | AnonymousUser, project_id: int | None) -> bool:
    """Whether a project is one's own: a member of it, or of the organization where the project has no members."""
    members = ProjectMembership.objects.filter(project=project_id)
    return project_id is None or not members.exists() or members.filter(user_id=user.pk or 0).exists()


def roles_to_give(user: User | AnonymousUser, organization: Organization) -> list[Role]:
    """The roles that a person may invite others to: an admin all, a manager up to advanced engineer."""
    if allowed(user, Action.CHANGE_ROLES, organization):
        return list(Role)
    if allowed(user, Action.INVITE, organization):
        return [role for role in Role if Role.ADVANCED_ENGINEER.at_least(role)]
    return []


def organizations_where(user: User | AnonymousUser, action: Action) -> list[Organization]:
    """The organizations in which a person may do `action` to anything, by name."""
    if not user.is_authenticated or not user.is_active:
        return []
    roles = [role for role in Role if role.at_least(MATRIX[action].anything)]
    memberships = Membership.objects.filter(user_id=user.pk, role__in=roles).select_related("organization")
    return [membership.organization for membership in memberships.order_by("organization__name")]


def project_of(what: Any) -> int | None:
    """The id of the project that a row lies in; None for what belongs to the organization as a whole."""
    if isinstance(what, Project):
        return what.pk
    path = getattr(what, "organization_path", "").split("__")
    if "project" not in path:
        return None
    for name in path[: path.index("project")]:
        what = getattr(what, name)
    found: int = what.project_id
    return found


def organization_of(what: Any) -> int:
    """The id of the organization that a row belongs to, by its model's `organization_path`."""
    if isinstance(what, Organization):
        return what.pk
    *path, last = what.organization_path.split("__")
    for name in path:
        what = getattr(what, name)
    found: int = getattr(what, f"{last}_id")
    return found
