"""The one interface to stored bytes, and the platform's two stores made from settings."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

STORES = {"file": "training.storage.local.LocalStore", "s3": "training.storage.s3.S3Store"}
RESERVED = ".store"  # a store's own records lie under this name
FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\\\ud800-\udfff\u2028-\u202e\u2066-\u2069]")
GET_SECONDS = 3600
PUT_SECONDS = 2 * 3600
CHUNK = 256 * 1024


class StorageError(Exception):
    """A store could not do what was asked; the message is for people."""


class InvalidKey(StorageError, ValueError):
    """A key that no store takes."""


class ObjectMissing(StorageError):
    """There is no object under this key."""


class StoreAway(OSError):
    """The store's server can't be reached, refuses the platform's keys, or failed after several tries."""


_hurried: ContextVar[bool] = ContextVar("hurried", default=False)


@contextmanager
def in_a_hurry() -> Iterator[None]:
    """A person waits: what is asked of a store meanwhile is given up after some seconds, as StoreAway."""
    token = _hurried.set(True)
    try:
        yield
    finally:
        _hurried.reset(token)


def hurried() -> bool:
    """Whether a person waits."""
    return _hurried.get()


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as a store knows it; `sha256` is None where that would need reading it.

    `version` has no spaces and is another one whenever the object was written; `list` tells it.
    """

    key: str
    size: int
    sha256: str | None = None
    version: str = field(default="", compare=False)


def key_validate(key: str) -> str:
    """Return `key` if every store can hold it, else raise InvalidKey.

    Keys are relative, with segments between single slashes; no segment is
    empty, `.` or `..`, and nothing in them is a backslash, a control
    character, half a surrogate pair or a mark that turns the writing direction.
    """
    segments = key.split("/")
    if not key or any(segment in ("", ".", "..") for segment in segments):
        raise InvalidKey(f"Not a storage key: {key!r}.")
    if FORBIDDEN.search(key) or segments[0] == RESERVED:
        raise InvalidKey(f"Not a storage key: {key!r}.")
    if len(key.encode()) > 1024 or max(len(segment.encode()) for segment in segments) > 240:
        raise InvalidKey(f"This storage key is too long: {key[:60]!r}…")
    return key


class Store(ABC):
    """Objects under keys. Every method raises InvalidKey for a key that `key_validate` refuses.

    An object appears whole or not at all, and never changes half. Failures of
    the medium (a full disk, a server away) are raised as OSError.
    """

    part_size = 8 * 1024 * 1024  # the most bytes that one PUT to a signed address may carry

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.url = url

    @abstractmethod
    def check(self) -> None:
        """Raise StoreAway, within some seconds, where objects can't be kept here now; the message is for people."""

    @abstractmethod
    def stat(self, key: str) -> StoredObject | None:
        """What is known of the object, or None where there is none."""

    @abstractmethod
    def sha256(self, key: str) -> str:
        """The object's SHA-256 in hexadecimal, read again if it is not known; ObjectMissing."""

    @abstractmethod
    def read(self, key: str, first: int = 0, last: int | None = None) -> Iterator[bytes]:
        """The bytes from `first` to `last`, both counted from 0 and included, in chunks; ObjectMissing."""

    @abstractmethod
    def put(self, key: str, source: Path | bytes, *, durable: bool = True) -> StoredObject:
        """Store a file or bytes, in place of what was there.

        It has survived a power cut once this returns; with `durable` false,
        for many files at once, only after `settle`.
        """

    @abstractmethod
    def settle(self) -> None:
        """Everything put before survives a power cut once this returns."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove the object; one that is not there is no error."""

    @abstractmethod
    def list(self, prefix: str) -> Iterator[StoredObject]:
        """All objects below `prefix`, a key without its end (`datasets/7`), in order of their keys."""

    @abstractmethod
    def presign_get(self, key: str, seconds: int = GET_SECONDS, filename: str = "") -> str:
        """An address that gives this object to whoever has it, saved by browsers as `filename`."""

    @abstractmethod
    def presign_put(self, key: str, size: int, sha256: str, seconds: int = PUT_SECONDS) -> str:
        """An address that takes exactly these bytes under this key, in parts of `part_size`."""

    def upload_offer(self, key: str, size: int, sha256: str, seconds: int = PUT_SECONDS) -> dict[str, Any]:
        """How a sender without any credential brings exactly these bytes here, as `urls` of the protocol tells it."""
        return {"url": self.presign_put(key, size, sha256, seconds), "part_size": self.part_size}

    def get(self, key: str) -> bytes:
        """The whole object: for small ones."""
        return b"".join(self.read(key))

    def get_each(self, keys: Iterable[str]) -> Iterator[bytes]:
        """The whole objects, one after another: for many small ones. Raises ObjectMissing at the first that is not."""
        return map(self.get, keys)

    def delete_all(self, prefix: str) -> None:
        """Remove every object below `prefix`."""
        for stored in list(self.list(prefix)):
            self.delete(stored.key)


def internal_store() -> Store:
    """The store for what the platform makes: checkpoints, snapshots, exports."""
    return _store("internal", settings.INTERNAL_STORAGE_URL)


def external_store() -> Store:
    """The store for datasets."""
    return _store("external", settings.EXTERNAL_STORAGE_URL)


def store_named(name: str) -> Store:
    """`internal` or `external`; KeyError for any other name."""
    return {"internal": internal_store, "external": external_store}[name]()


@lru_cache(maxsize=8)
def _store(name: str, url: str) -> Store:
    scheme = urlsplit(url).scheme
    if scheme not in STORES:
        raise ImproperlyConfigured(f"No {name} store for {scheme}://: known are {', '.join(sorted(STORES))}.")
    store: Store = import_string(STORES[scheme])(name, url)
    return store
