"""A person's own API keys: made, copied once, revoked."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST

from training.models import Organization, User
from training.pages.doors import person, signed_in
from training.people import keys
from training.people.roles import Action, organizations_where, require


class KeyForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=80, help_text=_("What it is for, such as “nightly evaluation”."))
    organization = forms.ModelChoiceField(Organization.objects.none(), empty_label=None, label=_("Organization"))
    scope = forms.ChoiceField(label=_("May"), choices=[("read", _("read")), ("write", _("read and write"))])
    days = forms.TypedChoiceField(
        label=_("Good for"),
        coerce=int,
        choices=[(30, _("30 days")), (90, _("90 days")), (365, _("a year")), (0, _("ever, until revoked"))],
        initial=90,
    )

    def __init__(self, user: User, said: Any = None) -> None:
        super().__init__(said, auto_id="key-%s")
        field = self.fields["organization"]
        assert isinstance(field, forms.ModelChoiceField)
        self.organizations = organizations_where(user, Action.USE_API_KEYS)
        field.queryset = Organization.objects.filter(pk__in=[one.pk for one in self.organizations]).order_by("name")


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def key_list(request: HttpRequest) -> HttpResponseBase:
    """One's keys, and the form for a new one; the answer to the form is the only page that ever shows a secret."""
    user = person(request)
    form, secret = KeyForm(user), ""
    if request.method == "POST":
        _may_have_keys_there(request, user)
        form = KeyForm(user, request.POST)
        if form.is_valid():
            said = form.cleaned_data
            write, days = said["scope"] == "write", said["days"] or None
            _, secret = keys.key_create(user, said["organization"], said["name"], write=write, days=days)
            form = KeyForm(user)
    context = {
        "form": form,
        "secret": secret,
        "keys": keys.keys_of(user),
        "now": timezone.now(),
        "may_create": bool(form.organizations),
    }
    response = render(request, "training/key_list.html", context, status=400 if form.errors else 200)
    response["Cache-Control"] = "no-store"
    return response


@require_POST
@signed_in
def key_revoke(request: HttpRequest, key_id: int) -> HttpResponseBase:
    key = keys.keys_of(person(request)).filter(pk=key_id).first()
    if key is None:
        raise Http404("No such key.")
    keys.key_revoke(key)
    messages.success(request, gettext("The key “%(name)s” no longer opens anything.") % {"name": key.name})
    return redirect("key-list")


def _may_have_keys_there(request: HttpRequest, user: User) -> None:
    """404 for another organization's id, 403 where one's role is too low; a missing one is the form's to tell."""
    wanted = request.POST.get("organization", "")
    if wanted.isascii() and wanted.isdigit():
        organization = user.organizations.filter(pk=int(wanted)).first()
        if organization is None:
            raise Http404("No such organization.")
        require(user, Action.USE_API_KEYS, organization)
