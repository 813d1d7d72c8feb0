"""The pages of an organization: its members, their roles, its name, and everybody's API keys for admins."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.forms.models import model_to_dict
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from training.models import Membership, Organization, Role
from training.pages.card import CardForm, said
from training.pages.checkpoints import KeepingForm
from training.pages.doors import limited, organization_or_404, person, signed_in
from training.people import members
from training.people.invitations import invitations_pending
from training.people.keys import key_revoke
from training.people.limits import limit_take
from training.people.roles import Action, allowed, require, roles_to_give
from training.people.selectors import members_of, organization_keys, organization_list

ROWS = 50
TABS = (
    ("organization-page", _("Members"), Action.SEE),
    ("organization-keys", _("API keys"), Action.MANAGE_ALL_KEYS),
    ("audit-page", _("Audit log"), Action.SEE_AUDIT_LOG),
)


class NameForm(CardForm):
    organization = forms.CharField(label=_("Name"), max_length=120)


class InviteForm(CardForm):
    email = forms.EmailField(label=_("E-mail address"), max_length=254)
    role = forms.ChoiceField(label=_("Role"))

    def __init__(self, roles: list[Role], *args: Any) -> None:
        super().__init__(*args, initial={"role": Role.STANDARD_ENGINEER}, auto_id="invite-%s")
        field = self.fields["role"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(role.value, role.label) for role in roles]


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@limited
def organization_index(request: HttpRequest) -> HttpResponseBase:
    """One's organizations, and a form for another one where anybody may have one."""
    user = person(request)
    form = NameForm(said(request))
    if request.method == "POST":
        if not settings.SIGN_UP_OPEN:
            raise PermissionDenied(gettext("Organizations are made by the operator."))
        if form.is_valid():
            limit_take("organization", target=f"account {user.pk}")
            made = members.organization_make(form.cleaned_data["organization"], by=user)
            members.member_add(made, user, Role.ADMIN, by=user)
            return redirect("organization-page", organization_id=made.pk)
    context = {"form": form, "memberships": organization_list(user), "open": settings.SIGN_UP_OPEN}
    return render(request, "training/organization_list.html", context, status=400 if form.errors else 200)


@require_GET
@signed_in
def organization_page(request: HttpRequest, organization_id: int) -> HttpResponseBase:
    organization = organization_or_404(request, organization_id)
    return organization_show(request, organization)


def organization_show(request: HttpRequest, organization: Organization, invite: Any = None) -> HttpResponseBase:
    """The page of the members; with a form of an invitation that was refused, it says why."""
    user = person(request)
    page = Paginator(members_of(organization), ROWS).get_page(request.GET.get("page"))
    give = roles_to_give(user, organization)
    context = organization_context(request, organization) | {
        "page": page,
        "total": page.paginator.count,
        "roles": Role.choices,
        "may_change": allowed(user, Action.CHANGE_ROLES, organization),
        "removable": _below(give),
        "may_rename": allowed(user, Action.MANAGE_ORGANIZATION, organization),
        "keeping": KeepingForm(initial=model_to_dict(organization, ["keep_epochs", "keep_epochs_days"])),
        "invite": (invite or InviteForm(give)) if give else None,
        "pending": invitations_pending(organization)[:200] if give else [],
        "now": timezone.now(),
        "days": settings.INVITATION_DAYS,
    }
    status = 400 if invite is not None and invite.errors else 200
    return render(request, "training/organization_page.html", context, status=status)


def organization_context(request: HttpRequest, organization: Organization) -> dict[str, Any]:
    """What every page of an organization shows: its name, and the tabs that this person may open."""
    user = person(request)
    tabs = [(name, label) for name, label, action in TABS if allowed(user, action, organization)]
    here = request.resolver_match.url_name if request.resolver_match else ""
    return {"organization": organization, "tabs": tabs, "here": here}


@require_POST
@signed_in
def organization_rename(request: HttpRequest, organization_id: int) -> HttpResponseBase:
    organization = organization_or_404(request, organization_id)
    require(person(request), Action.MANAGE_ORGANIZATION, organization)
    try:
        members.organization_rename(organization, request.POST.get("organization", ""), by=person(request))
        messages.success(request, gettext("Renamed."))
    except ValidationError as error:
        messages.warning(request, " ".join(error.messages))
    return redirect("organization-page", organization_id=organization.pk)


@require_POST
@signed_in
def member_role(request: HttpRequest, organization_id: int, user_id: int) -> HttpResponseBase:
    organization = organization_or_404(request, organization_id)
    member = _member_or_404(organization, user_id)
    require(person(request), Action.CHANGE_ROLES, organization)
    role = request.POST.get("role", "")
    try:
        if role not in Role.values:
            raise ValidationError(gettext("There is no such role."))
        members.member_role(organization, member.user, Role(role), by=person(request))
        messages.success(
            request, gettext("%(user)s is %(label)s now.") % {"user": member.user, "label": Role(role).label.lower()}
        )
    except (members.LastAdmin, ValidationError) as error:
        messages.warning(request, " ".join(getattr(error, "messages", [str(error)])))
    return redirect("organization-page", organization_id=organization.pk)


@require_POST
@signed_in
def member_remove(request: HttpRequest, organization_id: int, user_id: int) -> HttpResponseBase:
    """End somebody's membership, or one's own."""
    organization, user = organization_or_404(request, organization_id), person(request)
    member = _member_or_404(organization, user_id)
    if member.user_id != user.pk:
        require(user, Action.MANAGE_MEMBERS, organization)
    try:
        most = max(roles_to_give(user, organization), key=list(Role).index, default=Role.GUEST)
        members.member_remove(organization, member.user, by=user, role_most=most)
    except members.LastAdmin as error:
        messages.warning(request, str(error))
        return redirect("organization-page", organization_id=organization.pk)
    if member.user_id == user.pk:
        messages.success(request, gettext("You have left %(organization)s.") % {"organization": organization})
        return redirect("organization-list")
    messages.success(request, gettext("%(user)s is no longer a member.") % {"user": member.user})
    return redirect("organization-page", organization_id=organization.pk)


@require_GET
@signed_in
def keys_page(request: HttpRequest, organization_id: int) -> HttpResponseBase:
    """Everybody's API keys for this organization."""
    organization = organization_or_404(request, organization_id)
    require(person(request), Action.MANAGE_ALL_KEYS, organization)
    page = Paginator(organization_keys(organization), ROWS).get_page(request.GET.get("page"))
    context = organization_context(request, organization) | {"page": page, "total": page.paginator.count}
    return render(request, "training/organization_keys.html", context | {"now": timezone.now()})


@require_POST
@signed_in
def key_end(request: HttpRequest, organization_id: int, key_id: int) -> HttpResponseBase:
    """Revoke anybody's key for this organization."""
    organization = organization_or_404(request, organization_id)
    require(person(request), Action.MANAGE_ALL_KEYS, organization)
    key = organization_keys(organization).filter(pk=key_id).first()
    if key is None:
        raise Http404("No such key.")
    key_revoke(key, by=person(request))
    messages.success(
        request,
        gettext("The key “%(name)s” of %(user)s no longer opens anything.") % {"name": key.name, "user": key.user},
    )
    return redirect("organization-keys", organization_id=organization.pk)


def _member_or_404(organization: Organization, user_id: int) -> Membership:
    found = members_of(organization).filter(user=user_id).first()
    if found is None:
        raise Http404("No such member.")
    return found


def _below(roles: list[Role]) -> list[str]:
    """The roles of those whom somebody who may give `roles` may remove."""
    return [role.value for role in roles]
