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
    for form in _forms():
        if (found := form.parts(line)) is not None:
            parts = {name: _part_said(name, part, language, depth + 1) for name, part in found.items()}
            return gettext(form.sentence) % parts
    return line


def _part_said(name: str, part: str, language: str, depth: int) -> str:
    if name in LISTED:
        return "; ".join(_line_said(one, language, depth) for one in part.split("; "))
    return _line_said(part, language, depth) if name in NESTED else part


PLAIN = frozenset(one for one in SENTENCES if not PLACE.search(one))


@lru_cache(maxsize=1)
def _forms() -> list["Form"]:
    """Those that say most by themselves first."""
    placed = [one for one in SENTENCES if one not in PLAIN]
    return [Form(one) for one in sorted(placed, key=lambda one: -len(PLACE.sub("", one)))]


class Form:
    """A sentence with places. A line is searched once from left to right, so a trainer's words can't make it long:
    a regular expression of the same would try all ways to divide it."""

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence
        pieces = PLACE.split(sentence)
        self.names, (self.first, *self.between, self.last) = pieces[1::2], pieces[0::2]
        # what a sentence begins with is no `file: ` of another before it, unless it is a sentence itself
        self.plain_start = not self.first and self.names[0] not in NESTED

    def parts(self, line: str) -> dict[str, str] | None:
        """What stands in the places, each as short as can be; None if the line is no such sentence."""
        if not line.startswith(self.first) or not line.endswith(self.last):
            return None
        at, end = len(self.first), len(line) - len(self.last)
        found: dict[str, str] = {}
        for number, name in enumerate(self.names):
            until = line.find(self.between[number], at + 1, end) if number < len(self.between) else end
            part = line[at:until]
            if until <= at or found.setdefault(name, part) != part:
                return None
            at = until + (len(self.between[number]) if number < len(self.between) else 0)
        return None if self.plain_start and ": " in found[self.names[0]] else found
