"""A spool record as one line of text, with a checksum that tells a whole line from a torn one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

ROW, REPORT, LOG = b"row", b"report", b"log"


@dataclass(frozen=True, slots=True)
class Record:
    """What was said under one number. The body is JSON without line breaks, as it will be sent:

    a row is `[names…]`, a tab, and `epoch,step,time,[values…]`; a report or a log batch is an object's inside.
    """

    number: int
    kind: bytes
    body: bytes


def line_of(number: int, kind: bytes, body: bytes) -> bytes:
    """`{crc32} {number} {kind} {body}\\n`, the checksum over what follows it."""
    content = b"%d %b %b" % (number, kind, body)
    return b"%08x %b\n" % (crc32(content), content)


def record_of(line: bytes) -> Record | None:
    """The record in a line without its line break; None if the line is torn or was changed."""
    checksum, _, content = line.partition(b" ")
    if checksum != b"%08x" % crc32(content):
        return None
    number, kind, body = content.split(b" ", 2)
    return Record(int(number), kind, body)


def last_whole_record(path: Path, first: int) -> tuple[int, int]:
    """The last number before the first bad record, and the offset of its end; `first - 1` and 0 if there is none.

    A file's records are numbered from `first` without a gap.
    """
    number, end = first - 1, 0
    with path.open("rb") as lines:
        for line in lines:
            record = record_of(line[:-1]) if line.endswith(b"\n") else None
            if record is None or record.number != number + 1:
                break
            number, end = record.number, end + len(line)
    return number, end


def segment_path(folder: Path, first: int) -> Path:
    """The file that holds the records from `first` on."""
    return folder / f"{first:012d}.spool"


class SegmentReader:
    """Reads records in order across segment files, and remembers where it stopped."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._segment, self._next, self._offset = 0, 0, 0

    def read(self, segments: list[int], first: int, last: int, count: int, size: int) -> list[Record]:
        """Up to `count` records of the numbers `first` to `last`, about `size` bytes of them."""
        if first > last or not segments:
            return []
        if self._next != first or self._segment not in segments:
            earlier = [start for start in segments if start <= first] or segments[:1]
            self._segment, self._next, self._offset = earlier[-1], earlier[-1], 0
        records: list[Record] = []
        while not records and self._next <= last:
            chunk = self._whole_lines(size) or self._following(segments, size)
            if not chunk:
                break
            records = [record for record in self._take(chunk, first, last, count) if record.number >= first]
        return records

    def _take(self, chunk: bytes, first: int, last: int, count: int) -> Iterator[Record]:
        for line in chunk.splitlines(keepends=True):
            record = record_of(line[:-1])
            if record is None or record.number > last or record.number >= max(first, self._segment) + count:
                return
            self._next, self._offset = record.number + 1, self._offset + len(line)
            yield record

    def _following(self, segments: list[int], size: int) -> bytes:
        """Go on in the next segment."""
        later = [start for start in segments if start > self._segment]
        if not later:
            return b""
        self._segment, self._next, self._offset = later[0], later[0], 0
        return self._whole_lines(size)

    def _whole_lines(self, size: int) -> bytes:
        """About `size` bytes from where the reader stands, more if one line is longer, never a part of a line."""
        with segment_path(self.folder, self._segment).open("rb") as lines:
            lines.seek(self._offset)
            chunk = lines.read(size)
            if chunk and not chunk.endswith(b"\n"):
                chunk += lines.readline()
        return chunk[: chunk.rfind(b"\n") + 1]
