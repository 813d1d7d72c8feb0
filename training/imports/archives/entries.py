"""What every archive has to keep to: names that stay inside, no links, no bombs, no two entries in one place."""

import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from training.datasets.scan import DatasetError, Progress, plain
from training.storage.store import CHUNK, InvalidKey, key_validate

RATIO = 100  # pictures hardly shrink; a bomb of zeros shrinks a thousandfold
RATIO_FROM = 256 * 1024 * 1024  # bytes below which nobody minds the ratio
DEPTH = 32
JUNK = re.compile(r"(^|/)(__MACOSX/|\.DS_Store$|\._[^/]*$|Thumbs\.db$|desktop\.ini$)")
NESTED = re.compile(r"\.(zip|tar|tgz|tbz2?|txz|gz|bz2|xz|zst|7z|rar|cab|iso|jar)$", re.IGNORECASE)
SHOWN = 120


class ArchiveError(DatasetError):
    """Why the archive can't be imported, for people."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may come out of an archive, or from a store."""

    bytes: int
    files: int


class Unpacking:
    """A folder that fills with files from a source that is not trusted: one place for one entry, never outside."""

    def __init__(self, target: Path, packed: int, limits: Limits, progress: Progress | None = None) -> None:
        self.target, self.limits, self.progress = target, limits, progress
        self.most = min(limits.bytes, max(RATIO_FROM, RATIO * packed))
        self.entries = self.files = self.bytes = 0
        self._places: dict[str, str] = {}  # as a file system would compare them that minds no case
        self._folders: set[str] = set()
        self._counting = Lock()

    def judge(self, name: str) -> str:
        """The place of an entry below the folder; empty for what is passed over. Raises ArchiveError."""
        self.entries += 1
        if self.entries > self.limits.files:
            raise ArchiveError(f"There are more than {self.limits.files:,} entries, which are the most that are taken.")
        shown = plain(name[:SHOWN])
        place = name.rstrip("/") if not name.startswith("/") else name
        if name.startswith("/") or re.match(r"[A-Za-z]:", name):
            raise ArchiveError(f"{shown}: an absolute name; names must lie within the archive.")
        if "\\" in name:
            raise ArchiveError(f"{shown}: a backslash in a name; pack it with a program that writes slashes.")
        while place.startswith("./"):
            place = place[2:]
        if place in ("", "."):
            return ""
        if ".." in place.split("/"):
            raise ArchiveError(f"{shown}: the name leads out of the archive.")
        if JUNK.search(place) or name.startswith("__MACOSX/"):
            return ""
        try:
            key_validate(place)
        except InvalidKey as error:
            raise ArchiveError(f"{shown}: no file can have this name.") from error
        if place.count("/") >= DEPTH:
            raise ArchiveError(f"{shown}: more than {DEPTH} folders deep.")
        return place

    def file_judge(self, name: str) -> str:
        """`judge` for a file, which needs a place of its own."""
        place = self.judge(name)
        if not place:
            return ""
        if NESTED.search(place):
            raise ArchiveError(f"{plain(place[:SHOWN])}: an archive within the archive; unpack it first.")
        self._take(place)
        return place

    def announced(self, size: int) -> None:
        """Raise ArchiveError at once where what is announced is too much."""
        if size > self.most:
            raise self._too_much()

    def write(self, place: str, chunks: Iterable[bytes]) -> None:
        """Write a judged file; every byte is counted as it comes, whatever was announced."""
        path = self.target / place
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb", CHUNK) as file:
            for chunk in chunks:
                with self._counting:
                    self.bytes += len(chunk)
                if self.bytes > self.most:
                    raise self._too_much()
                file.write(chunk)
        with self._counting:
            self.files += 1

    def tell(self, done: int, total: int) -> None:
        if self.progress:
            self.progress("Unpacking", done, total)

    def _too_much(self) -> ArchiveError:
        if self.most < self.limits.bytes:
            return ArchiveError(f"What is in the archive is more than {RATIO} times its size: this looks like a bomb.")
        return ArchiveError(
            f"What comes out is more than {self.limits.bytes / 1e9:g} GB, which is the most that is taken."
        )

    def _take(self, place: str) -> None:
        folded = unicodedata.normalize("NFC", place).casefold()
        shown = plain(place[:SHOWN])
        if earlier := self._places.get(folded):
            if earlier == place:
                raise ArchiveError(f"{shown}: there are two entries of this name.")
            raise ArchiveError(f"{plain(earlier[:SHOWN])} and {shown} differ only in case.")
        above = set(_above(folded))
        if folded in self._folders or any(one in self._places for one in above):  # isdisjoint would walk all places
            raise ArchiveError(f"{shown}: a file and a folder of one name.")
        self._places[folded] = place
        self._folders |= above


def _above(place: str) -> Iterable[str]:
    while "/" in place:
        place = place.rpartition("/")[0]
        yield place
