"""Signing in and out, and getting back in: pages for whoever has no session yet."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.tokens import default_token_generator
from django.contrib.auth.views import INTERNAL_RESET_SESSION_TOKEN, LoginView, LogoutView
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.http import urlsafe_base64_decode
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from training.models import User
from training.pages.card import CardForm, card, email_field, link_gone, name_field, password_field, said
from training.pages.doors import limited
from training.people import accounts
from training.people.limits import limit_forgive, limit_take
from training.people.origin import address_of
from training.people.sign_in import target_of

sign_out = LogoutView.as_view()
ASK = "set-password"  # stands in the address in place of the token


class SignInForm(AuthenticationForm):
    """Name or e-mail, and password; every refusal reads the same."""

    error_messages = {
        "invalid_login": _("That name and password don't belong together. Both tell upper from lower case."),
        "inactive": _("That name and password don't belong together. Both tell upper from lower case."),
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        self.fields["username"].label = gettext("Name or e-mail")
        self.fields["username"].widget.attrs["maxlength"] = "254"  # an address may be longer than a name


class SignIn(LoginView):
    """Counts tries before it looks at them, per account and per address; a good one takes its own back."""

    template_name = "training/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    @method_decorator(limited)
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return super().dispatch(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.target = target_of(request.POST.get("username", "")[:254])
        limit_take("sign-in", target=self.target, source=address_of(request))
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        limit_forgive("sign-in", target=self.target, source=address_of(self.request))
        return super().form_valid(form)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs, sign_up_open=settings.SIGN_UP_OPEN)


sign_in = SignIn.as_view()


class EmailForm(CardForm):
    email = email_field()


class AccountForm(CardForm):
    username = name_field()
    password = password_field()


class SignUpForm(AccountForm):
    organization = forms.CharField(
        label=_("Organization"),
        max_length=120,
        help_text=_("Your team's name; you are its admin, and invite the others."),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@limited
def sign_up(request: HttpRequest) -> HttpResponseBase:
    """Asks for an address; the answer is the same whether it has an account or not, the letter is not."""
    if request.user.is_authenticated:
        return redirect("home")
    if not settings.SIGN_UP_OPEN:
        text = gettext(
            "Accounts are made by invitation only. Ask an admin or a manager of your organization to invite you."
        )
        return card(
            request,
            gettext("By invitation only"),
            text=text,
            status=403,
            links=[(gettext("Sign in"), reverse("sign-in"))],
        )
    form = EmailForm(said(request))
    if form.is_valid():
        email = form.cleaned_data["email"]
        limit_take("sign-up", target=email, source=address_of(request))
        accounts.sign_up_ask(email)
        return _letter_sent(request, email)
    text = gettext("We send you a letter with a link. Nothing is made before you open it.")
    return card(
        request,
        gettext("Sign up"),
        gettext("Send the letter"),
        form,
        text=text,
        links=[(gettext("Sign in instead"), reverse("sign-in"))],
    )


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("password")
@never_cache
@limited
def sign_up_finish(request: HttpRequest, token: str) -> HttpResponseBase:
    """The link of the letter: a name, a password, an organization, and one is in."""
    try:
        email = accounts.sign_up_email(token)
    except accounts.LinkGone:
        limit_take("link", source=address_of(request))
        return link_gone(request, advice=gettext("If you have made the account, sign in. Else sign up again."))
    form = SignUpForm(said(request))
    if form.is_valid():
        clean = form.cleaned_data
        new = accounts.NewAccount(email, clean["username"], clean["password"])
        try:
            user, organization = accounts.sign_up(new, clean["organization"])
        except ValidationError as error:
            form.refuse(error)
        else:
            enter(request, user)
            messages.success(request, gettext("Your account is there. Invite your colleagues here."))
            return redirect("organization-page", organization_id=organization.pk)
    return card(
        request,
        gettext("Your account"),
        gettext("Make the account"),
        form,
        text=gettext("The address %(email)s is proved.") % {"email": email},
    )


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@limited
def password_reset(request: HttpRequest) -> HttpResponseBase:
    """Asks for an address; the answer is the same whether it has an account or not."""
    form = EmailForm(said(request))
    if form.is_valid():
        email = form.cleaned_data["email"]
        limit_take("reset", target=email, source=address_of(request))
        accounts.password_reset_ask(email)
        return _letter_sent(request, email)
    text = gettext("If the address has an account, a letter with a link goes to it.")
    return card(
        request,
        gettext("New password"),
        gettext("Send the letter"),
        form,
        text=text,
        links=[(gettext("Sign in"), reverse("sign-in"))],
    )


class NewPasswordForm(CardForm):
    password = password_field(_("New password"))


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("password")
@never_cache
@limited
def password_reset_confirm(request: HttpRequest, user_key: str, token: str) -> HttpResponseBase:
    """The link of the letter. It is kept in the session, so that it stands in no address from which it could leak."""
    user = _user_of(user_key)
    if token != ASK and user is not None and default_token_generator.check_token(user, token):
        request.session[INTERNAL_RESET_SESSION_TOKEN] = token
        return redirect("password-reset-confirm", user_key=user_key, token=ASK)
    kept = request.session.get(INTERNAL_RESET_SESSION_TOKEN, "")
    if token != ASK or user is None or not default_token_generator.check_token(user, kept):
        limit_take("link", source=address_of(request))
        return link_gone(request, advice=gettext("Ask for a new letter."))
    form = NewPasswordForm(said(request))
    if form.is_valid():
        try:
            accounts.password_reset(user, form.cleaned_data["password"])
        except ValidationError as error:
            form.refuse(error)
        else:
            del request.session[INTERNAL_RESET_SESSION_TOKEN]
            messages.success(request, gettext("The new password is set. Sign in with it."))
            return redirect("sign-in")
    return card(
        request,
        gettext("New password"),
        gettext("Set the password"),
        form,
        text=gettext("For %(user)s.") % {"user": user.get_username()},
    )


def admin_sign_in(request: HttpRequest) -> HttpResponseBase:
    """The admin's own sign-in is ours, with its limits; who is signed in and no superuser is refused."""
    if request.user.is_authenticated:
        raise PermissionDenied(gettext("The admin site is for superusers."))
    return redirect(f"{reverse('sign-in')}?{request.GET.urlencode()}")


def enter(request: HttpRequest, user: User) -> None:
    """Begin a session with a new id; what the browser had before is not taken along."""
    login(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])


def _letter_sent(request: HttpRequest, email: str) -> HttpResponse:
    text = gettext(
        "We have sent a letter to %(email)s. It may take some minutes; look among unwanted mail as well."
    ) % {"email": email}
    return card(request, gettext("Look at your mail"), text=text, links=[(gettext("Sign in"), reverse("sign-in"))])


def _user_of(user_key: str) -> User | None:
    try:
        return User.objects.filter(pk=int(urlsafe_base64_decode(user_key)), is_active=True).first()
    except (ValueError, OverflowError):
        return None
