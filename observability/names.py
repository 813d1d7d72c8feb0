"""Names of metrics and settings in backends that forbid some of our characters, and back again.

A mapping is percent-encoding (RFC 3986, 2.1) with an escape character of the
backend's choice: whatever the backend forbids, and the escape character
itself, becomes the escape character and two hexadecimal digits for each byte
of its UTF-8. What follows the escape character is always two upper-case
digits, so each encoded name has one original and no two names can meet.

A name that is too long for the backend even so keeps its beginning, and gets
the escape character, `x` (never a digit) and the SHA-256 of the whole name.
The adapter stores the whole name beside it, under that digest.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

DIGEST = 64


@dataclass(frozen=True, slots=True)
class NameMapping:
    """One backend's rules: what must be escaped (`forbidden` finds the pieces), with what, and the longest name."""

    forbidden: re.Pattern[str]
    escape: str
    limit: int = 0
    _known: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    def encode(self, name: str) -> str:
        """The name as the backend takes it; `decode` turns it back."""
        if name not in self._known:
            self._known[name] = self._encoded(name)
        return self._known[name]

    def decode(self, encoded: str, shortened: Mapping[str, str] | None = None) -> str:
        """The original name. `shortened` holds the whole names by their digest; KeyError if one is missing there."""
        head, mark, digest = encoded.rpartition(f"{self.escape}x")
        if mark:
            return (shortened or {})[digest]
        head, *pieces = encoded.split(self.escape)
        raw = head.encode("utf-8", "surrogatepass")
        for piece in pieces:
            raw += bytes.fromhex(piece[:2]) + piece[2:].encode("utf-8", "surrogatepass")
        return raw.decode("utf-8", "surrogatepass")

    def digest(self, name: str) -> str:
        """Under what a shortened name's whole text is to be stored; empty if the name is not shortened."""
        return self.encode(name).rpartition(f"{self.escape}x")[2] if self._is_shortened(name) else ""

    def _is_shortened(self, name: str) -> bool:
        return f"{self.escape}x" in self.encode(name)

    def _encoded(self, name: str) -> str:
        encoded = re.sub(f"{re.escape(self.escape)}|{self.forbidden.pattern}", self._escaped, name)
        if not self.limit or len(encoded) <= self.limit:
            return encoded
        whole = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        head = encoded[: self.limit - DIGEST - 2]
        cut = head.rfind(self.escape, len(head) - 2)  # an escape is never cut in two
        return f"{head[:cut] if cut >= 0 else head}{self.escape}x{whole}"

    def _escaped(self, match: re.Match[str]) -> str:
        return "".join(f"{self.escape}{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))


# One part of a path, or of a name made of parts: no separator, no `.`, `..` or hidden name; 80 characters of
# three bytes fit into the 255 bytes of a file's name.
FOLDER = NameMapping(re.compile(r"[^\w.\- ]|^\.|^ | \Z"), "%", limit=80)

# A name in two parts, cut at its first slash: a chart, and a line in it. ClearML's server identifies a point by
# md5("<task>-<iter>-<metric>-<variant>") (EventBLL._get_event_id in its apiserver), so a `-` within the first part
# would let "lr-x/y" and "lr/x-y" overwrite each other.
_GROUP = NameMapping(re.compile("[-/]"), "%")
_REST = NameMapping(re.compile("(?!)"), "%")
_EMPTY, _SAME = "%2F", "%"  # neither is ever the whole of an escaped part


def group_split(name: str) -> tuple[str, str]:
    """(metric, variant), of which neither is empty; a name without a slash is both."""
    group, slash, rest = name.partition("/")
    metric, variant = _GROUP.encode(group) or _EMPTY, _REST.encode(rest) or _EMPTY
    return (metric, _SAME if variant == metric else variant) if slash else (metric, metric)


def group_joined(metric: str, variant: str) -> str:
    """The name that was split."""
    if variant == metric:
        return _GROUP.decode(metric)
    rest = metric if variant == _SAME else variant
    return "/".join("" if part == _EMPTY else _REST.decode(part) for part in (metric, rest))
