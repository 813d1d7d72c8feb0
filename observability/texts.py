"""Values and texts as backends that hold only text, of a limited length, get them."""

import json
from typing import Any

MARK = " … (cut)"


def text_of(value: Any) -> str:
    """Text as it is; anything else as JSON, and what JSON lacks as its own text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def text_cut(text: str, longest: int) -> str:
    """At most `longest` characters; where something is missing, a mark says so."""
    return text if len(text) <= longest else text[: longest - len(MARK)] + MARK
