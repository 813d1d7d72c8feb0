"""A store in a local folder; whole objects by rename, addresses signed by the platform itself."""

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from stat import S_ISREG
from tempfile import NamedTemporaryFile
from typing import Any
from urllib.parse import unquote, urlsplit

from training.storage.addresses import Address, address_sign
from training.storage.store import (
    CHUNK,
    FORBIDDEN,
    GET_SECONDS,
    PUT_SECONDS,
    RESERVED,
    InvalidKey,
    ObjectMissing,
    Store,
    StoreAway,
    StoredObject,
    key_validate,
)


class LocalStore(Store):
    """Objects are files below the folder of a `file://` URL; its own records lie in `.store`.

    A checksum once verified is remembered beside the objects with size, time
    and inode of the file it belongs to, so that a file changed behind the
    store's back is read again.
    """

    def __init__(self, name: str, url: str) -> None:
        super().__init__(name, url)
        self.root = Path(unquote(urlsplit(url).path)).resolve()

    def path(self, key: str) -> Path:
        """Where the object lies; InvalidKey where a link on the way leaves the store."""
        path = self.root / key_validate(key)
        if not path.resolve().is_relative_to(self.root):
            raise InvalidKey(f"{key!r} leads out of the store.")
        return path

    def own_folder(self, name: str) -> Path:
        """A folder for the store's own records, in the same file system as the objects."""
        folder = self.root / RESERVED / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def check(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreAway(f"The folder of the {self.name} store can't be made: {error.strerror}.") from error
        if not os.access(self.root, os.R_OK | os.W_OK | os.X_OK):
            raise StoreAway(f"The folder of the {self.name} store can't be written.")

    def stat(self, key: str) -> StoredObject | None:
        path = self.path(key)
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not S_ISREG(status.st_mode):
            return None
        return StoredObject(key, status.st_size, self._sum_remembered(key, status))

    def sha256(self, key: str) -> str:
        path = self.path(key)
        try:
            known = self._sum_remembered(key, path.stat())
            if known is None:
                known = file_sha256(path)
                self.sum_remember(key, path, known)
            return known
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise ObjectMissing(f"There is no {key} in the {self.name} store.") from error

    def read(self, key: str, first: int = 0, last: int | None = None) -> Iterator[bytes]:
        try:
            file = self.path(key).open("rb")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise ObjectMissing(f"There is no {key} in the {self.name} store.") from error
        with file:
            file.seek(first)
            left = float("inf") if last is None else last - first + 1
            while left > 0 and (chunk := file.read(int(min(left, CHUNK)))):
                left -= len(chunk)
                yield chunk

    def get_each(self, keys: Iterable[str]) -> Iterator[bytes]:
        """Where a folder leads is looked at once for each folder; the objects themselves are no links."""
        folders: dict[str, str] = {}
        for key in keys:
            folder, _, name = key_validate(key).rpartition("/")
            if folder not in folders:
                folders[folder] = str(self.path(key).parent.resolve())
            try:
                file = os.open(f"{folders[folder]}/{name}", os.O_RDONLY | os.O_NOFOLLOW)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                    raise
                yield self.get(key)  # which says what is wrong, or follows a link that stays in the store
                continue
            with open(file, "rb", buffering=0) as opened:
                yield opened.read()

    def put(self, key: str, source: Path | bytes, *, durable: bool = True) -> StoredObject:
        path = self.path(key)
        with NamedTemporaryFile(dir=self.own_folder("new"), delete=False) as file:
            try:
                if isinstance(source, bytes):
                    file.write(source)
                else:
                    with source.open("rb") as original:
                        shutil.copyfileobj(original, file, CHUNK)
                file.flush()
                size = file.tell()
                self.take(Path(file.name), path, durable=durable)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
        return StoredObject(key, size)

    def settle(self) -> None:
        os.sync()

    def take(self, temporary: Path, path: Path, *, durable: bool) -> None:
        """Make a finished file of `own_folder` the object at `path`, in one step."""
        temporary.chmod(0o644)
        if durable:
            sync(temporary)
        file_move(temporary, path)
        if durable:
            sync(path.parent)

    def delete(self, key: str) -> None:
        path = self.path(key)
        if path.is_file():
            path.unlink(missing_ok=True)
        self._sum_path(key).unlink(missing_ok=True)
        for start, stop in ((path.parent, self.root), (self._sum_path(key).parent, self.root / RESERVED)):
            folders_prune(start, stop)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        top = self.path(prefix.rstrip("/"))
        yield from self._walk(top, prefix.rstrip("/"))

    def presign_get(self, key: str, seconds: int = GET_SECONDS, filename: str = "") -> str:
        address = Address(self.name, "GET", key_validate(key), time.time() + seconds, filename=filename)
        return address_sign(address)

    def presign_put(self, key: str, size: int, sha256: str, seconds: int = PUT_SECONDS) -> str:
        return address_sign(Address(self.name, "PUT", key_validate(key), time.time() + seconds, size, sha256))

    def sum_remember(self, key: str, path: Path, sha256: str) -> None:
        """Keep the verified checksum of the file at `path`, which is or will be the object `key`."""
        record = {"sha256": sha256, **_identity(path.stat())}
        with NamedTemporaryFile("w", dir=self.own_folder("new"), delete=False) as file:
            json.dump(record, file)
        file_move(Path(file.name), self._sum_path(key))

    def _sum_path(self, key: str) -> Path:
        return self.root / RESERVED / "sha256" / f"{key}.json"

    def _sum_remembered(self, key: str, status: os.stat_result) -> str | None:
        try:
            record: dict[str, Any] = json.loads(self._sum_path(key).read_bytes())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None  # a record cut short by a power cut is as good as none
        sha256: str = record.pop("sha256", "")
        return sha256 if record == _identity(status) else None

    def _walk(self, folder: Path, key: str) -> Iterator[StoredObject]:
        if not folder.is_dir():
            return
        with os.scandir(folder) as entries:
            # A folder sorts as its keys do: with the slash that follows its name.
            ordered = sorted((entry.name + "/" * entry.is_dir(follow_symlinks=False), entry) for entry in entries)
        for name, entry in ordered:
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(Path(entry.path), f"{key}/{entry.name}")
            elif entry.is_file(follow_symlinks=False) and not FORBIDDEN.search(name):
                status = entry.stat(follow_symlinks=False)
                yield StoredObject(f"{key}/{name}", status.st_size, version=str(status.st_mtime_ns))


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Wait until a file or a folder's list of names is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def folders_prune(folder: Path, stop: Path) -> None:
    """Remove empty folders from `folder` upwards, below `stop`."""
    while folder != stop and folder.is_relative_to(stop):
        try:
            folder.rmdir()
        except OSError:  # not empty, or never made: what is above it is not empty either, or is gone
            return
        folder = folder.parent


def file_move(temporary: Path, path: Path) -> None:
    """Rename a file into a folder that is made if need be, and may be pruned at any moment."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.replace(path)
            return
        except FileNotFoundError:
            if not temporary.exists():
                raise


def _identity(status: os.stat_result) -> dict[str, int]:
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "inode": status.st_ino}
