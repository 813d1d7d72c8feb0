"""Markdown as people write it, into HTML that does nothing but be read."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from django import template
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

from training.templatetags.text import ODD

register = template.Library()
LINK_SCHEMES = ("http://", "https://", "mailto:", "/", "#")


@register.filter
def markdown(text: str) -> SafeString:
    """Markdown as HTML. HTML in it is shown as text, pictures are not loaded, links open nothing but addresses."""
    return mark_safe(_reader().render(ODD.sub("�", text.replace("\r\n", "\n"))))  # the reader escapes all text


@lru_cache(maxsize=1)
def _reader() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")
    reader.validateLink = _address_allowed  # type: ignore[method-assign,assignment]
    reader.add_render_rule("link_open", _link_open)
    reader.add_render_rule("heading_open", _heading)
    reader.add_render_rule("heading_close", _heading)
    return reader


def _address_allowed(address: str) -> bool:
    """Web and mail addresses and those of this site; nothing that a browser would run."""
    return address.strip().lower().startswith(LINK_SCHEMES)


def _link_open(renderer: Any, tokens: Sequence[Token], index: int, options: Any, environment: Any) -> str:
    tokens[index].attrSet("rel", "noopener noreferrer nofollow")
    return str(renderer.renderToken(tokens, index, options, environment))


def _heading(renderer: Any, tokens: Sequence[Token], index: int, options: Any, environment: Any) -> str:
    """Headings begin below the page's own."""
    tokens[index].tag = f"h{min(6, int(tokens[index].tag[1]) + 2)}"
    return str(renderer.renderToken(tokens, index, options, environment))
