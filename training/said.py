"""Sentences that the database keeps in English, in the language of whoever reads them.

Reasons, causes and findings are made where nobody reads yet: in workers and in
trainers' reports. They are stored in English, and each form of them stands in
`training/stored/`; here a stored sentence is taken apart by these forms and
told in the reader's language. What has no such form, as a trainer's own words,
stays as it is.
"""

import re
from functools import lru_cache

from django.utils.functional import lazy
from django.utils.translation import get_language, gettext

from training.stored import LISTED, NESTED, SENTENCES

PLACE = re.compile(r"%\((\w+)\)s")
LONGEST = 2000  # characters of a line that is looked at
DEEPEST = 4


def said(text: str) -> str:
    """A stored text in the language of the page: its first line, and all others where that one introduces a list."""
    language = get_language() or "en"
    if not text or language.startswith("en"):
        return text
    first, line_end, rest = text.partition("\n")
    told = _line_said(first, language, 0)
    if told != first and first.endswith(":"):
        rest = "\n".join(_line_said(line, language, 0) for line in rest.split("\n"))
    return f"{told}{line_end}{rest}"


said_lazily = lazy(said, str)  # for what is read once and rendered for several languages


@lru_cache(maxsize=4096)
def _line_said(line: str, language: str, depth: int) -> str:
    """A line in the present language, which `language` names for the cache."""
    if not line or len(line) > LONGEST or depth > DEEPEST:
        return line
    if line in PLAIN:
        return gettext(line)
    for form, sentence in _forms():
        if found := form.fullmatch(line):
            parts = {name: _part_said(name, part, language, depth + 1) for name, part in found.groupdict().items()}
            return gettext(sentence) % parts
    return line


def _part_said(name: str, part: str, language: str, depth: int) -> str:
    if name in LISTED:
        return "; ".join(_line_said(one, language, depth) for one in part.split("; "))
    return _line_said(part, language, depth) if name in NESTED else part


PLAIN = frozenset(one for one in SENTENCES if not PLACE.search(one))


@lru_cache(maxsize=1)
def _forms() -> list[tuple[re.Pattern[str], str]]:
    """(pattern, sentence), those that say most by themselves first."""
    placed = [one for one in SENTENCES if one not in PLAIN]
    return [(_pattern(one), one) for one in sorted(placed, key=lambda one: -len(PLACE.sub("", one)))]


def _pattern(sentence: str) -> re.Pattern[str]:
    known: set[str] = set()
    parts = []
    for number, part in enumerate(PLACE.split(sentence)):
        if number % 2 == 0:
            parts.append(re.escape(part))
        elif part in known:
            parts.append(f"(?P={part})")
        else:
            # what a sentence begins with is no `file: ` of another before it, unless it is a sentence itself
            first = number == 1 and not parts[0] and part not in NESTED
            parts.append(f"(?P<{part}>(?:(?!: ).)+?)" if first else f"(?P<{part}>.+?)")
            known.add(part)
    return re.compile("".join(parts))
