"""Uploads in parts to a local store: interrupted ones go on, only a verified one becomes an object."""

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from training.storage.local import LocalStore, file_sha256

KEPT_SECONDS = 24 * 3600  # what a killed process or a sender that went away has left is removed after this


class UploadGap(Exception):
    """The part begins past what was received: send again from byte `received`."""

    def __init__(self, received: int) -> None:
        super().__init__(f"The next byte to send is {received}.")
        self.received = received


class UploadCorrupt(Exception):
    """All bytes came, but they have another SHA-256: the upload begins anew."""


class Upload:
    """One object on its way into a local store, known by its key, size and SHA-256.

    Whoever has a signed address for the same three goes on with the same
    upload; two requests at once wait for each other and add no byte twice.
    """

    def __init__(self, store: LocalStore, key: str, size: int, sha256: str) -> None:
        self.store, self.key, self.size, self.sha256 = store, key, size, sha256
        name = hashlib.sha256(f"{key}\n{size}\n{sha256}".encode()).hexdigest()
        self.partial = store.own_folder("uploads") / name

    def received(self) -> int:
        """Bytes that need not be sent again: `size` only once the object is verified and in the store.

        So a server killed between the last byte and the verification asks
        for the last byte again, and verifies then.
        """
        if self._complete():
            return self.size
        try:
            return max(0, min(self.partial.stat().st_size, self.size - 1))
        except FileNotFoundError:
            return 0

    def add(self, first: int, data: bytes) -> int:
        """Take the part that begins at byte `first` and return the number of bytes received.

        What was received before is not written again. With the last byte the
        object is verified and appears in the store. Raises UploadGap, UploadCorrupt.
        """
        with self._locked() as file:
            if self._complete():
                self.partial.unlink(missing_ok=True)
                return self.size
            received = os.fstat(file.fileno()).st_size
            if first > received:
                raise UploadGap(received)
            file.seek(received)
            file.write(data[received - first :])
            file.flush()
            received = max(received, first + len(data))
            if received == self.size:
                self._finish()
            return received

    def _complete(self) -> bool:
        stored = self.store.stat(self.key)
        return stored is not None and (stored.size, stored.sha256) == (self.size, self.sha256)

    def _finish(self) -> None:
        if file_sha256(self.partial) != self.sha256:
            self.partial.unlink()
            raise UploadCorrupt("The bytes received do not have the SHA-256 that was signed; send them again.")
        self.store.sum_remember(self.key, self.partial, self.sha256)
        self.store.take(self.partial, self.store.path(self.key), durable=True)

    @contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        """The partial file, open and ours alone, whatever other threads and processes do."""
        if not self.partial.exists():
            self._forget_abandoned()
        while True:
            descriptor = os.open(self.partial, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if _is_at(file, self.partial):
                    yield file
                    return
            # Another request finished or gave up this upload while we waited: look again.

    def _forget_abandoned(self) -> None:
        for folder in ("uploads", "new"):
            for other in self.store.own_folder(folder).iterdir():
                if _age(other) > KEPT_SECONDS:
                    other.unlink(missing_ok=True)


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
