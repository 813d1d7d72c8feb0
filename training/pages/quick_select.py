"""A drop-down that stays quick with a thousand entries."""

from typing import Any

from django import forms
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString


class QuickSelect(forms.Select):
    """As Django's own, which renders a template for each entry; entries in groups it leaves to that."""

    def render(self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None) -> SafeString:
        if any(isinstance(label, list | tuple) for _, label in self.choices):
            return super().render(name, value, attrs, renderer)
        chosen = set(self.format_value(value))
        entries = ((key, " selected" if str(key) in chosen else "", label) for key, label in self.choices)
        options = format_html_join("\n", '<option value="{}"{}>{}</option>', entries)
        given = self.build_attrs(self.attrs, {"name": name, **(attrs or {})})
        said = {key: shown for key, shown in given.items() if shown not in (None, False)}
        pairs = format_html_join("", ' {}="{}"', ((key, key if one is True else one) for key, one in said.items()))
        return format_html("<select{}>\n{}\n</select>", pairs, options)
