"""One small form on a page of its own: what the pages of accounts look like."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise


PASSWORD, EMAIL = _("Password"), _("E-mail address")


class CardForm(forms.Form):
    """A form whose fields are filled in from top to bottom, and whose ids are short."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("auto_id", "id-%s")
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)

    def refuse(self, error: ValidationError) -> None:
        """Show what a service refused at the fields that it names, or above them all."""
        found = error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
        for field, messages in found.items():
            self.add_error(field if field in self.fields else None, messages)


def said(request: HttpRequest) -> Any:
    """What a form was sent, even if that is nothing; None where none was sent."""
    return request.POST if request.method == "POST" else None


def password_field(label: "_StrOrPromise" = PASSWORD, new: bool = True) -> forms.CharField:
    words = {"autocomplete": "new-password" if new else "current-password"}
    help_text = _("At least 10 characters, and not one that everybody uses.") if new else ""
    widget = forms.PasswordInput(attrs=words)
    return forms.CharField(label=label, strip=False, max_length=256, widget=widget, help_text=help_text)


def email_field(label: "_StrOrPromise" = EMAIL) -> forms.EmailField:
    return forms.EmailField(label=label, max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "email"}))


def name_field() -> forms.CharField:
    words = {"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}
    help_text = _("Letters, digits and . + - _; what your colleagues see.")
    return forms.CharField(label=_("Name"), max_length=150, widget=forms.TextInput(attrs=words), help_text=help_text)


def card(request: HttpRequest, title: str, submit: str = "", form: Any = None, **context: Any) -> HttpResponse:
    """A page with one card: a title, a text, and a form if there is one. Never cached: it may tell of a person."""
    status = context.pop("status", 400 if form is not None and form.is_bound and form.errors else 200)
    given = {"title": title, "submit": submit, "form": form, **context}
    response = render(request, "training/card.html", given, status=status)
    response["Cache-Control"] = "no-store"
    return response


def link_gone(request: HttpRequest, advice: str = "", invitation: bool = False) -> HttpResponse:
    """The answer to every link that opens nothing, whatever the reason is."""
    if invitation:
        title = gettext("This invitation opens nothing")
        text = gettext("This invitation is too old, was used already, or was never ours.")
    else:
        title = gettext("This link opens nothing")
        text = gettext("This link is too old, was used already, or was never ours.")
    return card(request, title, text=f"{text} {advice or gettext('Ask for a new one.')}", status=404)
