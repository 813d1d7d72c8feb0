"""A person's own account: names, e-mail address, password."""

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponseBadRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from training.models import User
from training.pages.card import CardForm, card, email_field, link_gone, name_field, password_field, said
from training.pages.doors import limited, person, signed_in
from training.people import accounts
from training.people.limits import limit_forgive, limit_take
from training.people.origin import address_of
from training.people.selectors import organization_list


class ProfileForm(CardForm):
    username = name_field()
    first_name = forms.CharField(label=_("First name"), max_length=150, required=False)
    last_name = forms.CharField(label=_("Last name"), max_length=150, required=False)


class EmailChangeForm(CardForm):
    email = email_field(_("New e-mail address"))
    old_password = password_field(_("Password"), new=False)


class PasswordForm(CardForm):
    old_password = password_field(_("Present password"), new=False)
    password = password_field(_("New password"))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def account_page(request: HttpRequest) -> HttpResponseBase:
    """One's names, and the way to all else that concerns one."""
    user = person(request)
    names = {name: getattr(user, name) for name in ("username", "first_name", "last_name")}
    form = ProfileForm(said(request), initial=names)
    if form.is_valid():
        try:
            accounts.name_change(user, **form.cleaned_data)
        except ValidationError as error:
            form.refuse(error)
            user.refresh_from_db()
        else:
            messages.success(request, gettext("Saved."))
            return redirect("account-page")
    context = {"form": form, "memberships": organization_list(user), "languages": settings.LANGUAGES}
    return render(request, "training/account_page.html", context, status=400 if form.errors else 200)


@require_POST
def language_change(request: HttpRequest) -> HttpResponseBase:
    """Pages in another language from now on: kept with the person, or else by a cookie; empty is the browser's."""
    language = request.POST.get("language", "")
    if language and language not in dict(settings.LANGUAGES):
        return HttpResponseBadRequest("There is no such language.", content_type="text/plain")
    back = request.POST.get("next") or request.headers.get("Referer", "")
    safe = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    response = redirect(back if safe else "home")
    if isinstance(request.user, User):
        accounts.language_choose(request.user, language)
    if language:
        secure, year = settings.SESSION_COOKIE_SECURE, 365 * 86400
        name = settings.LANGUAGE_COOKIE_NAME
        response.set_cookie(name, language, max_age=year, secure=secure, httponly=True, samesite="Lax")
    else:
        response.delete_cookie(settings.LANGUAGE_COOKIE_NAME)
    return response


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("old_password", "password")
@never_cache
@signed_in
@limited
def password_change(request: HttpRequest) -> HttpResponseBase:
    """A new password: this session goes on under a new id, every other one ends."""
    user = person(request)
    form = PasswordForm(said(request))
    if form.is_valid():
        try:
            _with_password(request, user)
            accounts.password_change(user, form.cleaned_data["old_password"], form.cleaned_data["password"])
        except ValidationError as error:
            form.refuse(error)
        else:
            _right_password(request, user)
            update_session_auth_hash(request, user)
            messages.success(
                request, gettext("The password is changed, and every other session has ended. API keys go on.")
            )
            return redirect("account-page")
    back = [(gettext("Back to the account"), reverse("account-page"))]
    return card(
        request,
        gettext("Change the password"),
        gettext("Change it"),
        form,
        text=gettext("Every other session ends by it."),
        links=back,
    )


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("old_password")
@never_cache
@signed_in
@limited
def email_change(request: HttpRequest) -> HttpResponseBase:
    """A letter to the new address; the old one counts until its link is opened."""
    user = person(request)
    form = EmailChangeForm(said(request))
    if form.is_valid():
        email = form.cleaned_data["email"]
        _with_password(request, user)
        limit_take("email", target=email, source=f"account {user.pk}")
        if user.check_password(form.cleaned_data["old_password"]):
            _right_password(request, user)
            accounts.email_change_ask(user, email)
            text = gettext("We have sent a letter to %(email)s. The address counts once you have opened its link.") % {
                "email": email
            }
            return card(
                request, gettext("Look at your mail"), text=text, links=[(gettext("Account"), reverse("account-page"))]
            )
        form.add_error("old_password", gettext("That is not the present password."))
    text = (
        gettext("Now it is %(email)s.") % {"email": user.email}
        if user.email
        else gettext("There is none yet; without one you can't get a new password.")
    )
    back = [(gettext("Back to the account"), reverse("account-page"))]
    return card(request, gettext("Change the e-mail address"), gettext("Send the letter"), form, text=text, links=back)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@signed_in
@limited
def email_confirm(request: HttpRequest, token: str) -> HttpResponseBase:
    """The link of the letter, opened by the account that asked for it."""
    user = person(request)
    try:
        email = accounts.email_wanted(user, token)
        if request.method == "POST":
            accounts.email_change(user, token)
            messages.success(request, gettext("Your address is %(email)s now.") % {"email": email})
            return redirect("account-page")
    except accounts.LinkGone:
        limit_take("link", source=address_of(request))
        return link_gone(request, advice=gettext("Ask for a new letter on the page of your account."))
    return card(
        request,
        gettext("Your new address"),
        gettext("Use this address"),
        text=gettext("%(email)s, for %(user)s.") % {"email": email, "user": user.get_username()},
    )


def _with_password(request: HttpRequest, user: User) -> None:
    """Guesses of the present password count like those at the sign-in."""
    limit_take("sign-in", target=f"account {user.pk}", source=address_of(request))


def _right_password(request: HttpRequest, user: User) -> None:
    limit_forgive("sign-in", target=f"account {user.pk}", source=address_of(request))
