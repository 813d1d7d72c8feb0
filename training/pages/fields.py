"""What forms of pages share: the service's refusals, each at the field that it names."""

from django import forms
from django.core.exceptions import ValidationError


def errors_put(form: forms.Form, error: ValidationError) -> None:
    """Show a service's refusal at its fields; what names none of them stands above the form."""
    if not hasattr(error, "error_dict"):
        form.add_error(None, error)
        return
    for name, messages in error.message_dict.items():
        form.add_error(name if name in form.fields else None, messages)
