"""REST: organizations, their members, invitations, keys and audit log."""

from datetime import datetime
from typing import Annotated, Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from ninja import Query, Router, Schema, Status
from pydantic import Field

from training.api.problems import Refusal
from training.api.rest_pages import Page, PageQuery, Text, caller_of, one_of, page_answer
from training.models import ApiKey, Invitation, Membership, Organization, Role
from training.people import invitations, members
from training.people.accounts import LinkGone
from training.people.audit_log import AuditFilter, audit_entries
from training.people.keys import Caller, key_revoke
from training.people.limits import limit_take
from training.people.roles import Action, require, roles_to_give
from training.people.selectors import members_of, organization_keys, organizations_visible

router = Router(tags=["people"])


class OrganizationOut(Schema):
    id: int
    name: str
    slug: str
    created_at: datetime


class Organizations(Page):
    items: list[OrganizationOut]


class MemberOut(Schema):
    user_id: int
    name: str
    full_name: str
    role: Role
    since: datetime


class Members(Page):
    items: list[MemberOut]


class RoleIn(Schema):
    role: Role


class InvitationIn(Schema):
    email: Annotated[str, Field(max_length=254, examples=["kim@example.com"])]
    role: Role = Role.STANDARD_ENGINEER


class InvitationOut(Schema):
    id: int
    email: str
    role: Role
    created_by: str | None
    created_at: datetime
    sent_at: Annotated[datetime | None, Field(description="Empty: the mail could not be sent; send it again.")]
    expires_at: datetime

    @staticmethod
    def resolve_created_by(invitation: Invitation) -> str | None:
        return invitation.created_by.get_username() if invitation.created_by else None


class Invitations(Page):
    items: list[InvitationOut]


class KeyOut(Schema):
    id: int
    name: str
    prefix: str
    owner: Annotated[str, Field(alias="user.username")]
    scopes: list[str]
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None


class Keys(Page):
    items: list[KeyOut]


class AuditQuery(PageQuery):
    who: Annotated[Text, Field(description="A user name.")] = ""
    action: Annotated[Text, Field(description="Such as `job.cancel`, or `job` for all of a noun.")] = ""
    object_type: Text = ""
    object_id: Text = ""
    since: Annotated[datetime | None, Field(description="ISO 8601, or seconds since 1970.")] = None
    until: datetime | None = None


class AuditOut(Schema):
    id: int
    time: datetime
    who: str
    by: Annotated[str, Field(description="`pages`, `key vtk_…`, or a program.")]
    action: str
    object_type: str
    object_id: str
    object_name: str
    old: dict[str, Any] | None
    new: dict[str, Any] | None
    address: str
    request_id: str


class AuditLog(Page):
    items: list[AuditOut]


@router.get("/organizations", response=Organizations, url_name="organization-list")
def organization_list(request: HttpRequest, wanted: Query[PageQuery]) -> Any:
    """Your organizations, newest first; with an API key, the one that it is for."""
    caller = caller_of(request)
    return page_answer(organizations_visible(caller.user, caller.organization_id), wanted)


@router.get("/organizations/{int:organization_id}/members", response=Members, url_name="member-list")
def member_list(request: HttpRequest, organization_id: int, wanted: Query[PageQuery]) -> Any:
    """Its members, newest first."""
    page = page_answer(members_of(organization_for(request, organization_id)), wanted)
    return page | {"items": [_member_out(one) for one in page["items"]]}


@router.patch("/organizations/{int:organization_id}/members/{int:user_id}", response=MemberOut, url_name="member")
def member_role(request: HttpRequest, organization_id: int, user_id: int, body: RoleIn) -> Any:
    """Another role for a member. 409 for the last admin."""
    organization = organization_for(request, organization_id, Action.CHANGE_ROLES)
    member = _member(organization, user_id)
    try:
        members.member_role(organization, member.user, body.role, by=caller_of(request).user)
    except members.LastAdmin as error:
        raise Refusal(409, str(error)) from error
    return _member_out(_member(organization, user_id))


@router.delete("/organizations/{int:organization_id}/members/{int:user_id}", response={204: None}, url_name="member")
def member_remove(request: HttpRequest, organization_id: int, user_id: int) -> Any:
    """End a membership; your own, to leave. 409 for the last admin."""
    organization, user = organization_for(request, organization_id), caller_of(request).user
    member = _member(organization, user_id)
    if member.user_id != user.pk:
        require(user, Action.MANAGE_MEMBERS, organization)
    most = max(roles_to_give(user, organization), key=list(Role).index, default=Role.GUEST)
    try:
        members.member_remove(organization, member.user, by=user, role_most=most)
    except members.LastAdmin as error:
        raise Refusal(409, str(error)) from error
    return Status(204, None)


@router.get("/organizations/{int:organization_id}/invitations", response=Invitations, url_name="invitation-list")
def invitation_list(request: HttpRequest, organization_id: int, wanted: Query[PageQuery]) -> Any:
    """Invitations that were neither accepted nor revoked, newest first."""
    organization = organization_for(request, organization_id, Action.INVITE)
    return page_answer(invitations.invitations_pending(organization), wanted)


@router.post(
    "/organizations/{int:organization_id}/invitations", response={201: InvitationOut}, url_name="invitation-list"
)
def invitation_create(request: HttpRequest, organization_id: int, body: InvitationIn) -> Any:
    """Invite somebody by mail; an older invitation of the same address ends. 429 for too many."""
    organization, user = organization_for(request, organization_id, Action.INVITE), caller_of(request).user
    limit_take("invite", target=body.email, source=f"account {user.pk}")
    made, _, _ = invitations.invite(organization, body.email, body.role, by=user)
    return Status(201, _invitation(request, organization, made.pk))


@router.post(
    "/organizations/{int:organization_id}/invitations/{int:invitation_id}/resend",
    response=InvitationOut,
    url_name="invitation-resend",
)
def invitation_resend(request: HttpRequest, organization_id: int, invitation_id: int) -> Any:
    """Mail a new link, good for the whole time again; the old one ends."""
    organization, user = organization_for(request, organization_id, Action.INVITE), caller_of(request).user
    invitation = _invitation(request, organization, invitation_id)
    limit_take("invite", target=invitation.email, source=f"account {user.pk}")
    try:
        invitations.invitation_resend(invitation, by=user)
    except LinkGone as error:
        raise Http404 from error
    return _invitation(request, organization, invitation_id)


@router.delete(
    "/organizations/{int:organization_id}/invitations/{int:invitation_id}",
    response={204: None},
    url_name="invitation",
)
def invitation_revoke(request: HttpRequest, organization_id: int, invitation_id: int) -> Any:
    """Its link opens nothing any more."""
    organization = organization_for(request, organization_id, Action.INVITE)
    invitation = _invitation(request, organization, invitation_id)
    invitations.invitation_revoke(invitation, by=caller_of(request).user)
    return Status(204, None)


@router.get("/organizations/{int:organization_id}/keys", response=Keys, url_name="organization-keys")
def key_list(request: HttpRequest, organization_id: int, wanted: Query[PageQuery]) -> Any:
    """Everybody's API keys for it that are not revoked; never their secrets."""
    return page_answer(organization_keys(organization_for(request, organization_id, Action.MANAGE_ALL_KEYS)), wanted)


@router.delete(
    "/organizations/{int:organization_id}/keys/{int:key_id}", response={204: None}, url_name="organization-key"
)
def key_end(request: HttpRequest, organization_id: int, key_id: int) -> Any:
    """Revoke anybody's key for it."""
    organization = organization_for(request, organization_id, Action.MANAGE_ALL_KEYS)
    key: ApiKey = one_of(organization_keys(organization), key_id)
    key_revoke(key, by=caller_of(request).user)
    return Status(204, None)


@router.get("/organizations/{int:organization_id}/audit", response=AuditLog, url_name="audit-list")
def audit_list(request: HttpRequest, organization_id: int, wanted: Query[AuditQuery]) -> Any:
    """Who did what, when, from where, with the old and new values; newest first."""
    organization = organization_for(request, organization_id, Action.SEE_AUDIT_LOG)
    names = ("who", "action", "object_type", "object_id", "since", "until")
    found = audit_entries(organization, AuditFilter(**{name: getattr(wanted, name) for name in names}))
    return page_answer(found, wanted)


def organization_for(request: HttpRequest, organization_id: int, action: Action = Action.SEE) -> Organization:
    """The organization, for an action that the caller may do there; 404 for another's, 403 for too low a role."""
    caller: Caller = caller_of(request)
    found: Organization = one_of(organizations_visible(caller.user, caller.organization_id), organization_id)
    require(caller.user, action, found)
    return found


def _member(organization: Organization, user_id: int) -> Membership:
    found: Membership | None = members_of(organization).filter(user=user_id).first()
    if found is None:
        raise Http404
    return found


def _invitation(request: HttpRequest, organization: Organization, invitation_id: int) -> Invitation:
    found: Invitation = one_of(invitations.invitations_pending(organization), invitation_id)
    if Role(found.role) not in roles_to_give(caller_of(request).user, organization):
        raise PermissionDenied("Your role does not allow you to invite somebody to this role.")
    return found


def _member_out(member: Membership) -> dict[str, Any]:
    names = {"name": member.user.get_username(), "full_name": member.user.get_full_name()}
    return {"user_id": member.user_id, **names, "role": member.role, "since": member.created_at}
