"""Tar archives, packed or not: read once from front to back, with small reads only, so that no header fills memory."""

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from training.datasets.scan import plain
from training.imports.archives.entries import SHOWN, ArchiveError, Unpacking
from training.storage.store import CHUNK

BLOCK = 512
HEADER_BYTES = 4 * BLOCK  # what an entry may take besides its content
XZ_MEMORY = 256 * 1024 * 1024
TRUNCATED = "The archive is not whole: its end is missing. Pack or upload it again."
BROKEN = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, ValueError, RecursionError)


class Forward:
    """What tarfile needs of a file, over a stream that only goes forward, at most `most` bytes of it."""

    def __init__(self, stream: IO[bytes], most: int) -> None:
        self.stream, self.most, self.at, self.last = stream, most, 0, b""

    def tell(self) -> int:
        return self.at

    def seek(self, place: int) -> None:
        if place < self.at:
            raise ArchiveError("The archive is damaged.")
        while self.at < place and self.read(min(CHUNK, place - self.at)):
            pass

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= CHUNK:  # the only longer reads are of headers
            raise ArchiveError("An entry's header is larger than any that is needed.")
        data = self.stream.read(size)
        self.at += len(data)
        self.last = data or self.last
        if self.at > self.most:
            raise ArchiveError("More comes out of the archive than is taken: this looks like a bomb.")
        return data


class XzStream(io.RawIOBase):
    """An .xz file unpacked with a bound on the memory that its own header asks for."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.decoder, self.begun = file, self._fresh(), False

    @staticmethod
    def _fresh() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            more = self.decoder.unused_data if self.decoder.eof else b""
            if self.decoder.eof:  # several streams may follow each other
                more = (more or self.file.read(CHUNK)).lstrip(b"\x00")
                if not more:
                    return 0
                self.decoder = self._fresh()
            elif self.decoder.needs_input:
                more = self.file.read(CHUNK)
                if not more:
                    raise EOFError("the compressed file ends too early")
            if data := self.decoder.decompress(more, len(buffer)):
                buffer[: len(data)] = data
                return len(data)


def tar_unpack(archive: Path, kind: str, unpacking: Unpacking) -> None:
    """Write all files of the archive; `kind` is how it is packed: tar, gz, bz2 or xz. Raises ArchiveError."""
    with archive.open("rb") as file, _unpacked(file, kind) as stream:
        forward = Forward(stream, unpacking.most + HEADER_BYTES * (unpacking.limits.files + 16))
        try:
            _extract(forward, file, archive.stat().st_size, unpacking)
            if forward.last.strip(b"\x00") or not forward.at:
                raise ArchiveError(TRUNCATED)  # every tar ends in zeros
            while forward.read(CHUNK):  # to the checksum at the end of what is compressed
                pass
        except ArchiveError:
            raise
        except BROKEN as error:
            said = TRUNCATED if isinstance(error, EOFError) or "end of data" in str(error) else ""
            raise ArchiveError(said or f"The archive is damaged or no tar: {error}.") from error
        except OSError as error:
            if error.errno is not None:  # the disk's, not the archive's
                raise
            raise ArchiveError(f"The archive is damaged: {error}.") from error


def _unpacked(file: IO[bytes], kind: str) -> IO[bytes]:
    if kind == "gz":
        return cast(IO[bytes], gzip.GzipFile(fileobj=file))
    if kind == "bz2":
        return cast(IO[bytes], bz2.BZ2File(file))
    if kind == "xz":
        return io.BufferedReader(XzStream(file), CHUNK)
    return file


def _extract(forward: Forward, packed: IO[bytes], size: int, unpacking: Unpacking) -> None:
    with tarfile.open(fileobj=cast(IO[bytes], forward), mode="r:", format=tarfile.PAX_FORMAT) as found:
        opened = cast(Any, found)  # its list of members is documented, and unknown to mypy
        while entry := opened.next():
            opened.members.clear()  # the list would grow with every entry
            opened.pax_headers.clear()
            place = _judged(entry, unpacking)
            if place:
                unpacking.announced(unpacking.bytes + entry.size)
                unpacking.write(place, _chunks(forward, entry))
            unpacking.tell(min(packed.tell(), size), size)


def _judged(entry: tarfile.TarInfo, unpacking: Unpacking) -> str:
    shown = plain(entry.name[:SHOWN])
    if entry.issym() or entry.islnk():
        what = "symbolic" if entry.issym() else "hard"
        raise ArchiveError(f"{shown}: a {what} link; pack the file itself (tar --dereference).")
    if entry.isdir():
        unpacking.judge(entry.name)
        return ""
    if not entry.isreg() or entry.issparse():
        raise ArchiveError(f"{shown}: neither a plain file nor a folder.")
    return unpacking.file_judge(entry.name)


def _chunks(forward: Forward, entry: tarfile.TarInfo) -> Iterator[bytes]:
    forward.seek(entry.offset_data)
    left = entry.size
    while left:
        chunk = forward.read(min(CHUNK, left))
        if not chunk:
            raise ArchiveError(TRUNCATED)
        left -= len(chunk)
        yield chunk
