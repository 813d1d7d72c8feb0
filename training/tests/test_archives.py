"""Archives: whole ones come out as they went in, and what does harm is refused, nothing written outside."""

import io
import stat
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from training.imports.archives import ArchiveError, Limits, archive_unpack, entries

LIMITS = Limits(bytes=50_000_000, files=2_000)
NAMES = ("images/train/a b.png", "images/train/고양이.png", "data.yaml")


def zipped(path: Path, *files: tuple[Any, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return path


def tarred(path: Path, *members: tarfile.TarInfo, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def member(name: str, size: int = 3, **fields: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def entry(name: str, mode: int = 0, **fields: Any) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def unpack(archive: Path, limits: Limits = LIMITS) -> Path:
    target = archive.parent / "deep" / "out"
    target.mkdir(parents=True)
    return archive_unpack(archive, target, limits)


def refused(archive: Path, limits: Limits = LIMITS) -> str:
    before = set(archive.parent.rglob("*"))
    with pytest.raises(ArchiveError) as refusal:
        unpack(archive, limits)
    written = {path for path in archive.parent.rglob("*") if path.is_file()} - before
    assert all(path.is_relative_to(archive.parent / "deep" / "out") and not path.is_symlink() for path in written)
    return str(refusal.value)


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_what_went_in_comes_out(tmp_path: Path, ending: str) -> None:
    archive = tmp_path / f"모음.{ending}"
    if ending == "zip":
        junk = ("__MACOSX/._a", b""), ("top/.DS_Store", b"")
        zipped(archive, *((f"top/{name}", name.encode()) for name in NAMES), *junk, ("top/empty/", b""))
    else:
        packing = ending.removeprefix("tar").removeprefix(".")
        members = [member(f"./top/{name}", 300_000) for name in NAMES]
        tarred(archive, member("./top", 0, type=tarfile.DIRTYPE), *members, mode=f"w:{packing}")
    folder = unpack(archive)
    assert folder.name == "top"
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == sorted(NAMES)
    wanted = NAMES[1].encode() if ending == "zip" else b"x" * 300_000
    assert (folder / NAMES[1]).read_bytes() == wanted


def test_names_that_korean_windows_wrote_are_read(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", ("????.txt", b"1"))
    archive.write_bytes(archive.read_bytes().replace(b"????", "고양".encode("cp949")))
    assert (unpack(archive) / "고양.txt").exists()


EVIL = {
    "../a": "leads out",
    "a/../../b": "leads out",
    "/etc/passwd": "absolute name",
    "C:/a": "absolute name",
    "a\\..\\b": "backslash",
    "a/\x01": "no file can have this name",
    "a//b": "no file can have this name",
    "x" * 300: "no file can have this name",
    "/".join("d" * 40): "folders deep",
    "inner.zip": "archive within the archive",
    "inner.TAR.GZ": "archive within the archive",
}


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_do_harm_are_refused(tmp_path: Path, name: str, kind: str) -> None:
    archive = tmp_path / "a"
    archive = zipped(archive, ("ok.txt", b"1"), (entry(name), b"2")) if kind == "zip" else tarred(archive, member(name))
    assert EVIL[name] in refused(archive)


@pytest.mark.parametrize(
    ("info", "said"),
    [
        (member("a", 0, type=tarfile.SYMTYPE, linkname="/etc/passwd"), "symbolic link"),
        (member("a", 0, type=tarfile.LNKTYPE, linkname="../b"), "hard link"),
        (member("a", 0, type=tarfile.CHRTYPE), "neither"),
        (member("a", 0, type=tarfile.BLKTYPE), "neither"),
        (member("a", 0, type=tarfile.FIFOTYPE), "neither"),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, info: tarfile.TarInfo, said: str) -> None:
    assert said in refused(tarred(tmp_path / "a.tar", member("first"), info))


def test_links_and_devices_in_a_zip_are_refused(tmp_path: Path) -> None:
    for number, (mode, said) in enumerate([(stat.S_IFLNK, "symbolic link"), (stat.S_IFCHR, "neither")]):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert said in refused(zipped(folder / "a.zip", (entry("a", mode | 0o777), b"/etc/passwd")))


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", ("a.txt", b"secret"))
    content = bytearray(archive.read_bytes())
    content[content.rfind(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    assert "encrypted" in refused(archive)


@pytest.mark.parametrize(
    ("second", "said"), [("a.txt", "two entries"), ("A.txt", "only in case"), ("a.txt/b", "a file and a folder")]
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_in_one_place_are_refused(tmp_path: Path, second: str, said: str, kind: str) -> None:
    archive, names = tmp_path / "a", ("a.txt", second)
    made = zipped(archive, *((one, b"1") for one in names)) if kind == "zip" else tarred(archive, *map(member, names))
    assert said in refused(made)


@pytest.mark.parametrize("kind", ["zip", "tar", "gz", "bz2", "xz"])
def test_a_truncated_archive_is_refused(tmp_path: Path, kind: str) -> None:
    archive = tmp_path / "a"
    if kind == "zip":
        zipped(archive, ("a.txt", bytes(range(256)) * 500), method=zipfile.ZIP_STORED)
    else:
        tarred(archive, member("a", 5000), member("b", 5000), mode=f"w:{kind}" if kind != "tar" else "w")
    content = archive.read_bytes()
    for cut in (0.3, 0.54, 0.99 if kind != "tar" else 0.5):
        folder = tmp_path / str(cut)
        folder.mkdir()
        cut_short = folder / "b"
        cut_short.write_bytes(content[: int(len(content) * cut)])
        assert refused(cut_short)


def test_damaged_content_is_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", ("a.txt", b"whole content"), method=zipfile.ZIP_STORED)
    archive.write_bytes(archive.read_bytes().replace(b"whole", b"whale"))
    assert "damaged" in refused(archive)


@pytest.mark.parametrize("start", [b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"(\xb5/\xfd", b"plain text", b""])
def test_other_kinds_are_refused_with_what_to_do(tmp_path: Path, start: bytes) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(start + b"\0" * 1000)
    assert "zip" in refused(archive)


@pytest.mark.parametrize("kind", ["zip", "gz", "bz2", "xz"])
def test_a_bomb_is_refused_by_its_ratio_and_by_the_total(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "RATIO_FROM", 1_000_000)
    archive = tmp_path / "a"
    made = zipped(archive, ("a", bytes(20_000_000))) if kind == "zip" else _zeros(archive, kind)
    assert "bomb" in refused(made, Limits(10**12, 100))
    (tmp_path / "total").mkdir()
    assert "GB" in refused(made.rename(tmp_path / "total" / "a"), Limits(500_000, 100))


def _zeros(archive: Path, kind: str) -> Path:
    with tarfile.open(archive, f"w:{kind}") as opened:  # type: ignore[call-overload]
        opened.addfile(member("a", 20_000_000), io.BytesIO(bytes(20_000_000)))
    return archive


def test_a_zip_that_lies_about_its_sizes_is_stopped(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", ("a", bytes(20_000_000)))
    content = bytearray(archive.read_bytes())
    struct.pack_into("<L", content, content.rfind(b"PK\x01\x02") + 24, 10)
    archive.write_bytes(content)
    assert refused(archive, Limits(1_000_000, 100))


def test_more_entries_than_are_taken_are_refused_before_they_are_listed(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", *((f"{number}.txt", b"") for number in range(60)))
    content = bytearray(archive.read_bytes())
    struct.pack_into("<HH", content, content.rfind(b"PK\x05\x06") + 8, 1, 1)  # it says that it has one
    archive.write_bytes(content)
    assert "more than 50 entries" in refused(archive, Limits(10**9, 50))
    (tmp_path / "t").mkdir()
    assert "more than 50 entries" in refused(
        tarred(tmp_path / "t" / "a.tar", *(member(f"{number}", 0) for number in range(60))), Limits(10**9, 50)
    )


PROGRAM = """
import resource, sys
from pathlib import Path
from training.imports.archives import ArchiveError, Limits, archive_unpack
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[3]), ) * 2)
try:
    archive_unpack(Path(sys.argv[1]), Path(sys.argv[2]), Limits(10**12, 10**6))
except ArchiveError as error:
    print(error)
"""


@pytest.mark.parametrize("kind", ["a huge header", "many entries"])
def test_memory_stays_bounded(tmp_path: Path, kind: str) -> None:
    """A tar header of 2 GB, packed to 2 MB, is refused; 5,000 small files come out; both within 400 MB."""
    archive, out = tmp_path / "a.tar.gz", tmp_path / "out"
    out.mkdir()
    if kind == "a huge header":
        huge = tarfile.TarInfo("././@PaxHeader")
        huge.type, huge.size = tarfile.XHDTYPE, 2 << 30
        import gzip

        with gzip.open(archive, "wb", 1) as file:
            file.write(huge.tobuf())
            for _ in range(8):
                file.write(bytes(1 << 20))
    else:
        tarred(archive, *(member(f"images/{number}.txt", 1) for number in range(5_000)), mode="w:gz")
    command = [
        sys.executable,
        "-c",
        "import django,os;os.environ.setdefault('DJANGO_SETTINGS_MODULE','platform_site.settings');django.setup()\n"
        + PROGRAM,
        str(archive),
        str(out),
        str(400 << 20),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert ("header" in done.stdout) == (kind == "a huge header") and (kind == "a huge header" or not done.stdout)
    assert kind == "a huge header" or sum(1 for _ in (out / "images").iterdir()) == 5_000


def test_each_entry_is_judged_without_looking_at_all_that_came_before(tmp_path: Path) -> None:
    """Places are looked up, never walked: a million entries would take hours."""

    class Places(dict[str, str]):
        def __iter__(self) -> Any:
            raise AssertionError("all places were walked")

        keys = items = values = __iter__

    unpacking = entries.Unpacking(tmp_path, 1, Limits(1 << 30, 1000))
    unpacking._places = Places()
    for number in range(100):
        assert unpacking.file_judge(f"images/train/{number}.png")
    with pytest.raises(ArchiveError, match="a file and a folder of one name"):
        unpacking.file_judge("images/train/7.png/x")
