"""Zip archives: counted before their list is read into memory, judged before anything is written."""

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from training.datasets.scan import plain
from training.imports.archives.entries import SHOWN, ArchiveError, Unpacking
from training.storage.store import CHUNK

ENCRYPTED, UTF8 = 0x1, 0x800
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
LIST_BYTES = 128 * 1024 * 1024  # zipfile reads the list of entries whole
END, END64, LOCATOR, ENTRY = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"PK\x01\x02"
END_BYTES, LOCATOR_BYTES, END64_BYTES, ENTRY_BYTES = 22, 20, 56, 46
TRUNCATED = "The archive is not whole: its end is missing. Pack or upload it again."


def zip_unpack(archive: Path, unpacking: Unpacking) -> None:
    """Write all files of the archive. Raises ArchiveError."""
    with archive.open("rb") as file:
        _count(file, unpacking)
        try:
            with zipfile.ZipFile(file) as opened:
                _extract(opened, unpacking)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, struct.error) as error:
            raise ArchiveError(f"The archive is damaged: {error}.") from error


def _extract(opened: zipfile.ZipFile, unpacking: Unpacking) -> None:
    entries = opened.infolist()
    places = [_judged(entry, unpacking) for entry in entries]
    total = sum(entry.file_size for entry in entries)
    unpacking.announced(total)
    for entry, place in zip(entries, places, strict=True):
        if place:
            unpacking.write(place, _chunks(opened, entry))
            unpacking.tell(unpacking.bytes, total)


def _judged(entry: zipfile.ZipInfo, unpacking: Unpacking) -> str:
    """Where the entry goes; empty for folders and what is passed over."""
    name = _name(entry)
    shown = plain(name[:SHOWN])
    if entry.flag_bits & ENCRYPTED:
        raise ArchiveError(f"{shown}: it is encrypted; pack it without a password.")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind == stat.S_IFLNK:
        raise ArchiveError(f"{shown}: a symbolic link; pack the file itself.")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ArchiveError(f"{shown}: neither a file nor a folder.")
    if name.endswith("/"):
        unpacking.judge(name)
        return ""
    if entry.compress_type not in METHODS:
        raise ArchiveError(f"{shown}: packed by a method that is not taken; pack it with Deflate, as usual.")
    return unpacking.file_judge(name)


def _name(entry: zipfile.ZipInfo) -> str:
    """The entry's name; where it is not said to be UTF-8, it often is nevertheless, or Korean Windows' own."""
    name = entry.orig_filename
    if entry.flag_bits & UTF8 or name.isascii():
        return name
    raw = name.encode("cp437", "replace")
    for encoding in ("utf-8", "cp949"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return name


def _chunks(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    with opened.open(entry) as packed:
        while chunk := packed.read(CHUNK):
            yield chunk


def _count(file: BinaryIO, unpacking: Unpacking) -> None:
    """Walk the list of entries without keeping it: what the archive says of their number is not believed."""
    size = os.fstat(file.fileno()).st_size
    end, length = _list_place(file, size)
    if not 0 <= length <= min(end, LIST_BYTES):
        raise ArchiveError("The archive's list of entries is damaged, or larger than is taken.")
    place, count = end - length, 0
    while place + ENTRY_BYTES <= end:
        file.seek(place)
        header = file.read(ENTRY_BYTES)
        if header[:4] != ENTRY:
            break
        count += 1
        if count > unpacking.limits.files:
            raise ArchiveError(
                f"There are more than {unpacking.limits.files:,} entries, which are the most that are taken."
            )
        place += ENTRY_BYTES + sum(struct.unpack_from("<3H", header, 28))
    file.seek(0)


def _list_place(file: BinaryIO, size: int) -> tuple[int, int]:
    """Where the list of entries ends, and how many bytes it has (APPNOTE.TXT 4.3.14 to 4.3.16)."""
    tail_from = max(0, size - END_BYTES - 0xFFFF)
    file.seek(tail_from)
    tail = file.read()
    at = tail.rfind(END)
    if at < 0 or len(tail) - at < END_BYTES:
        raise ArchiveError(TRUNCATED)
    end = tail_from + at
    length: int = struct.unpack_from("<L", tail, at + 12)[0]
    locator = tail[max(0, at - LOCATOR_BYTES) : at]
    if locator[:4] != LOCATOR or length != 0xFFFFFFFF:
        return end, length
    file.seek(end - LOCATOR_BYTES - END64_BYTES)
    record = file.read(END64_BYTES)
    if record[:4] != END64 or len(record) < END64_BYTES:
        raise ArchiveError("The archive's list of entries is damaged.")
    return end - LOCATOR_BYTES - END64_BYTES, struct.unpack_from("<Q", record, 40)[0]
