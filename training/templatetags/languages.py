"""What templates need to tell a page's language, and to offer the others."""

from django import template
from django.conf import settings
from django.templatetags.static import static
from django.utils.translation import get_language

register = template.Library()


@register.simple_tag
def other_languages() -> list[tuple[str, str]]:
    """(code, own name) of every language but the page's; names are never translated."""
    return [(code, name) for code, name in settings.LANGUAGES if code != get_language()]


@register.simple_tag
def words(language: str) -> str:
    """The address of the scripts' words in a language that is not English (`make messages` writes the file)."""
    return static(f"js/words-{language}.js")
