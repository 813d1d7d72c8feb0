"""Text from a run, made harmless: terminal colours become spans, everything else that acts becomes visible."""

import re
import unicodedata

from django.utils.html import conditional_escape, escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext

SHOWN = 4000  # characters of a line that a page shows; the download has them all
COLOUR = re.compile(r"\x1b\[([0-9;]{0,64})m")
# Other sequences of a terminal: CSI, OSC (titles, links) up to its end, and two-character escapes.
SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]P^_X][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
ODD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")
STYLES = {1, 2, 3, 4, 9, *range(30, 38), *range(40, 48), *range(90, 98), *range(100, 108)}
ENDS = {22: {1, 2}, 23: {3}, 24: {4}, 29: {9}}


def last_state(text: str) -> str:
    """What a terminal would show of lines that a progress bar wrote over itself with carriage returns."""
    if "\r" not in text:
        return text
    return "\n".join(next((part for part in reversed(line.split("\r")) if part), "") for line in text.split("\n"))


def plain_text(text: str) -> str:
    """One line without terminal sequences; control and direction characters become U+FFFD."""
    return ODD.sub("\ufffd", SEQUENCE.sub("", text).replace("\n", " ").replace("\t", " "))


def terminal_html(text: str) -> SafeString:
    """A log message as HTML: colours and bold as classes, oddities as small marks, the rest escaped."""
    text = last_state(text)
    cut = len(text) - SHOWN
    parts: list[str] = []
    styles: set[int] = set()
    position = 0
    text = text[:SHOWN]
    for match in COLOUR.finditer(text):
        parts.append(_span(text[position : match.start()], styles))
        styles = _styles(styles, match[1])
        position = match.end()
    parts.append(_span(text[position:], styles))
    if cut > 0:
        parts.append(format_html(' <span class="oddity">{}</span>', _more(cut)))
    return mark_safe("".join(parts))  # every part has been escaped


def _more(cut: int) -> str:
    return gettext("%(count)s more characters in the download") % {"count": cut}


def _span(text: str, styles: set[int]) -> str:
    if not text:
        return ""
    inside = _visible(SEQUENCE.sub("", text))
    if not styles:
        return inside
    return format_html('<span class="{}">{}</span>', " ".join(f"a{one}" for one in sorted(styles)), inside)


def _visible(text: str) -> SafeString:
    """Escaped text in which characters that would act are named instead."""
    if not ODD.search(text):
        return escape(text)
    pieces = re.split(f"({ODD.pattern})", text)
    return mark_safe("".join(_mark(piece) if ODD.fullmatch(piece) else conditional_escape(piece) for piece in pieces))


def _mark(character: str) -> str:
    code = f"U+{ord(character):04X}"
    return format_html('<span class="oddity" title="{}">{}</span>', unicodedata.name(character, "control"), code)


def _styles(styles: set[int], codes: str) -> set[int]:
    numbers = [int(code or 0) for code in codes.split(";") if len(code) < 4]
    found = set(styles)
    index = 0
    while index < len(numbers):
        code = numbers[index]
        index += 1
        if code in (38, 48, 58):  # 256 colours and true colours: their numbers are not styles
            index += 2 if numbers[index : index + 1] == [5] else 4
        elif code == 0:
            found = set()
        elif code in ENDS:
            found -= ENDS[code]
        elif code in (39, 49) or code in STYLES:
            found = {one for one in found if not _replaces(code, one)} | ({code} & STYLES)
    return found


def _replaces(code: int, old: int) -> bool:
    """Whether a colour takes another's place: foregrounds are 30–39 and 90–97, backgrounds 40–49 and 100–107."""
    kind = {3: "front", 9: "front", 4: "back", 10: "back"}
    return code > 9 and old > 9 and kind.get(code // 10) == kind.get(old // 10)
