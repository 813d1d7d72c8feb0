"""Archives, unpacked by a maintenance worker: zip and tar, each entry judged before a byte of it is written."""

from pathlib import Path

from training.datasets.scan import Progress
from training.imports.archives.entries import ArchiveError, Limits, Unpacking
from training.imports.archives.tars import tar_unpack
from training.imports.archives.zips import zip_unpack

ENDINGS = (".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".tbz2", ".txz", ".tar", ".zip")
SIGNS = {
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",  # an empty one
    b"\x1f\x8b": "gz",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
}
UNKNOWN = {
    b"(\xb5/\xfd": "Zstandard, which this server can't read: pack it as .tar.gz or .zip",
    b"7z\xbc\xaf\x27\x1c": "7-Zip: pack it as .zip or .tar.gz",
    b"Rar!": "RAR: pack it as .zip or .tar.gz",
}
TAR_SIGN = slice(257, 262)

__all__ = ["ENDINGS", "ArchiveError", "Limits", "archive_stem", "archive_unpack"]


def archive_stem(filename: str) -> str:
    """The name without the ending of an archive; empty if it has none."""
    ending = next((one for one in ENDINGS if filename.lower().endswith(one)), "")
    return filename[: -len(ending)] if ending else ""


def archive_unpack(archive: Path, target: Path, limits: Limits, progress: Progress | None = None) -> Path:
    """Unpack into the empty folder `target`; the folder in it that holds everything.

    What kind it is, its first bytes say, not its name. Raises ArchiveError
    with a sentence for people; what was written by then is the caller's to remove.
    """
    unpacking = Unpacking(target, archive.stat().st_size, limits, progress)
    kind = _kind(archive)
    if kind == "zip":
        zip_unpack(archive, unpacking)
    else:
        tar_unpack(archive, kind, unpacking)
    if not unpacking.files:
        raise ArchiveError("There is no file in the archive.")
    return _top(target)


def _kind(archive: Path) -> str:
    with archive.open("rb") as file:
        start = file.read(512)
    for sign, said in UNKNOWN.items():
        if start.startswith(sign):
            raise ArchiveError(f"The archive is packed with {said}.")
    for sign, kind in SIGNS.items():
        if start.startswith(sign):
            return kind
    if start[TAR_SIGN] == b"ustar":
        return "tar"
    raise ArchiveError("This is no archive that is known: zip, tar, tar.gz, tar.bz2 or tar.xz.")


def _top(target: Path) -> Path:
    """Past the folders that hold nothing but one folder, as most archives begin."""
    folder = target
    while True:
        inside = list(folder.iterdir())
        if len(inside) != 1 or not inside[0].is_dir() or inside[0].name in ("images", "train"):
            return folder
        folder = inside[0]
