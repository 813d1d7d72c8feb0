"""Label lines that wait on disk: those of half a gigabyte of annotations would fill the memory."""

from array import array
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from threading import Lock
from typing import IO


class Spool:
    """A nameless file that lines are added to, in any order; it goes with the last that refers to it."""

    def __init__(self) -> None:
        self._file: IO[bytes] = TemporaryFile(prefix="labels-")  # noqa: SIM115
        self._end = 0
        self._lock = Lock()

    def add(self, line: bytes) -> int:
        """Where it begins."""
        with self._lock:
            place = self._end
            self._file.seek(place)
            self._file.write(line)
            self._end += len(line)
        return place

    def read(self, place: int, size: int) -> bytes:
        with self._lock:
            self._file.seek(place)
            return self._file.read(size)


@dataclass(slots=True)
class Lines:
    """The label file of one image, line by line: in memory are only the places of its pieces."""

    spool: Spool
    places: "array[int]" = field(default_factory=lambda: array("q"))  # first byte and size of each piece, in turn

    def add(self, line: str) -> None:
        data = f"{line}\n".encode()
        place = self.spool.add(data)
        if self.places and sum(self.places[-2:]) == place:  # right after the last one
            self.places[-1] += len(data)
        else:
            self.places.extend((place, len(data)))

    def content(self) -> bytes:
        """The whole label file."""
        pieces = zip(self.places[::2], self.places[1::2], strict=True)
        return b"".join(self.spool.read(place, size) for place, size in pieces)
