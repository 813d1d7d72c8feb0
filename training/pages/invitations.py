"""Inviting people, and the page that an invitation's link opens."""

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from training.models import Invitation, Role
from training.pages.card import card, link_gone, said
from training.pages.doors import limited, organization_or_404, person, signed_in
from training.pages.organizations import InviteForm, organization_show
from training.pages.people import AccountForm, enter
from training.people import invitations
from training.people.accounts import LinkGone, account_of
from training.people.limits import limit_take
from training.people.origin import address_of
from training.people.roles import Action, require, roles_to_give


@require_POST
@signed_in
@limited
def invitation_create(request: HttpRequest, organization_id: int) -> HttpResponseBase:
    organization, user = organization_or_404(request, organization_id), person(request)
    require(user, Action.INVITE, organization)
    form = InviteForm(roles_to_give(user, organization), request.POST)
    if form.is_valid():
        email, role = form.cleaned_data["email"], Role(form.cleaned_data["role"])
        limit_take("invite", target=email, source=f"account {user.pk}")
        try:
            made, _, problem = invitations.invite(organization, email, role, by=user)
        except ValidationError as error:
            form.refuse(error)
        else:
            _tell(request, made, problem)
            return redirect("organization-page", organization_id=organization.pk)
    return organization_show(request, organization, form)


@require_POST
@signed_in
@limited
def invitation_resend(request: HttpRequest, organization_id: int, invitation_id: int) -> HttpResponseBase:
    invitation = _invitation(request, organization_id, invitation_id)
    limit_take("invite", target=invitation.email, source=f"account {person(request).pk}")
    try:
        _tell(request, invitation, invitations.invitation_resend(invitation, by=person(request)))
    except LinkGone:
        messages.warning(request, gettext("It was accepted or revoked meanwhile."))
    return redirect("organization-page", organization_id=organization_id)


@require_POST
@signed_in
def invitation_revoke(request: HttpRequest, organization_id: int, invitation_id: int) -> HttpResponseBase:
    invitation = _invitation(request, organization_id, invitation_id)
    invitations.invitation_revoke(invitation, by=person(request))
    messages.success(
        request, gettext("The invitation of %(email)s opens nothing any more.") % {"email": invitation.email}
    )
    return redirect("organization-page", organization_id=organization_id)


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("password")
@never_cache
@limited
def invitation_page(request: HttpRequest, secret: str) -> HttpResponseBase:
    """For who is signed in a button; for who is not, the way to sign in or an account to make."""
    try:
        invitation = invitations.invitation_find(secret)
        if request.user.is_authenticated:
            return _accept(request, secret, invitation)
        if account_of(invitation.email):
            return _sign_in_first(request, invitation)
        return _join(request, secret, invitation)
    except LinkGone:
        limit_take("link", source=address_of(request))
        return link_gone(request, gettext("Ask whoever invited you to send it again."), invitation=True)


def _accept(request: HttpRequest, secret: str, invitation: Invitation) -> HttpResponse:
    user = person(request)
    if request.method == "POST":
        organization = invitations.invitation_accept(secret, user)
        messages.success(request, gettext("You are a member of %(organization)s now.") % {"organization": organization})
        return redirect("project-list")
    text = gettext("You are signed in as %(user)s; this account becomes a member.") % {"user": user.get_username()}
    return card(
        request,
        gettext("Join %(organization)s") % {"organization": invitation.organization},
        gettext("Accept"),
        text=text,
        facts=_facts(invitation),
    )


def _sign_in_first(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    address = f"{reverse('sign-in')}?{urlencode({'next': request.path})}"
    text = gettext("The address has an account: sign in with it, and accept.")
    links = [(gettext("Sign in"), address)]
    return card(
        request,
        gettext("Join %(organization)s") % {"organization": invitation.organization},
        text=text,
        facts=_facts(invitation),
        links=links,
    )


def _join(request: HttpRequest, secret: str, invitation: Invitation) -> HttpResponse:
    form = AccountForm(said(request))
    if form.is_valid():
        try:
            user, organization = invitations.invitation_sign_up(secret, **form.cleaned_data)
        except ValidationError as error:
            form.refuse(error)
        else:
            enter(request, user)
            messages.success(
                request,
                gettext("Your account is there, and you are a member of %(organization)s.")
                % {"organization": organization},
            )
            return redirect("project-list")
    links = [(gettext("I have an account"), f"{reverse('sign-in')}?{urlencode({'next': request.path})}")]
    title = gettext("Join %(organization)s") % {"organization": invitation.organization}
    return card(request, title, gettext("Make the account and join"), form, facts=_facts(invitation), links=links)


def _facts(invitation: Invitation) -> list[tuple[str, str]]:
    by = invitation.created_by
    invited = [(gettext("Invited by"), by.get_full_name() or by.get_username())] if by else []
    return [(gettext("Role"), invitation.get_role_display()), *invited, (gettext("Sent to"), invitation.email)]


def _tell(request: HttpRequest, invitation: Invitation, problem: str) -> None:
    if problem:
        messages.warning(
            request,
            gettext("%(email)s is invited, but: %(problem)s Send it again later.")
            % {"email": invitation.email, "problem": problem},
        )
    else:
        messages.success(
            request,
            gettext("A letter to %(email)s is on its way; good for %(days)s.")
            % {"email": invitation.email, "days": _days()},
        )


def _days() -> str:
    return (
        gettext("a day")
        if settings.INVITATION_DAYS == 1
        else gettext("%(days)s days") % {"days": settings.INVITATION_DAYS}
    )


def _invitation(request: HttpRequest, organization_id: int, invitation_id: int) -> Invitation:
    """A pending invitation that this person may manage: of a role that they may give."""
    organization = organization_or_404(request, organization_id)
    require(person(request), Action.INVITE, organization)
    found = invitations.invitations_pending(organization).filter(pk=invitation_id).first()
    if found is None:
        raise Http404("No such invitation.")
    if Role(found.role) not in roles_to_give(person(request), organization):
        role = found.get_role_display().lower()
        raise PermissionDenied(gettext("Your role does not allow you to invite somebody as %(role)s.") % {"role": role})
    return found
