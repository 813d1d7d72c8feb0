"""What is known of images without reading them again: the SHA-256 of each, and which version of it was read.

Kept beside the platform's own files, written by the import that copied the images. An object whose version is
another one now (its time or ETag) is read again; so 100,000 images are told from changed ones by listing them.
"""

import gzip
import hashlib
import os
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import inf

from training.storage.store import Store, StoredObject, external_store, internal_store

THREADS = 8
BLOCK = 256


def digests_key(prefix: str) -> str:
    """Where they lie in the internal store."""
    return f"digests/{prefix.rsplit('/', 1)[-1]}.txt.gz"


def digests_keep(prefix: str, digests: Mapping[str, bytes]) -> None:
    """Write down the SHA-256 (32 bytes) of images just stored below `prefix`, by their paths."""
    listed = external_store().list(prefix)
    paths = ((stored, stored.key.removeprefix(f"{prefix}/")) for stored in listed)
    _write(prefix, ((digests[path].hex(), stored.version, path) for stored, path in paths if path in digests))


def digests_now(prefix: str, images: Sequence[StoredObject], until: float = inf) -> dict[str, str]:
    """The SHA-256 of these images, as `Store.list` told them, by their paths below `prefix`; hexadecimal.

    Only those are read that are new or have changed since they were read last. Raises TimeoutError at `until`,
    by time.monotonic, ObjectMissing, OSError; what was read until then is kept.
    """
    known = _known(prefix)
    found: dict[str, str] = {}
    unknown = []
    for stored in images:
        version, sha256 = known.get(path := stored.key.removeprefix(f"{prefix}/"), ("", ""))
        if version and version == stored.version:
            found[path] = sha256
        else:
            unknown.append(stored)
    if unknown:
        try:
            for stored, sha256 in _read(external_store(), unknown, until):
                path = stored.key.removeprefix(f"{prefix}/")
                found[path], known[path] = sha256, (stored.version, sha256)
        finally:
            _write(prefix, ((sha256, version, path) for path, (version, sha256) in known.items()))
    return found


def _read(store: Store, images: Sequence[StoredObject], until: float) -> Iterator[tuple[StoredObject, str]]:
    """In blocks, so that little is queued when the time is up."""

    def one(stored: StoredObject) -> str:
        digest = hashlib.sha256()
        for chunk in store.read(stored.key):
            if time.monotonic() > until:
                raise TimeoutError("checking the data takes too long")
            digest.update(chunk)
        return digest.hexdigest()

    with ThreadPoolExecutor(min(THREADS, 2 * (os.cpu_count() or 1)), thread_name_prefix="digests") as pool:
        for start in range(0, len(images), BLOCK):
            block = images[start : start + BLOCK]
            yield from zip(block, pool.map(one, block), strict=True)


def _known(prefix: str) -> dict[str, tuple[str, str]]:
    """(version, SHA-256) by path; empty where nothing was written down, or what was can't be read."""
    store, key = internal_store(), digests_key(prefix)
    if store.stat(key) is None:
        return {}
    packed = store.get(key)
    try:
        rows = (line.split(" ", 2) for line in gzip.decompress(packed).decode().splitlines())
        return {path: (version, sha256) for sha256, version, path in rows}
    except (ValueError, EOFError, OSError, zlib.error):
        return {}


def _write(prefix: str, rows: Iterable[tuple[str, str, str]]) -> None:
    text = "".join(f"{sha256} {version} {path}\n" for sha256, version, path in rows)
    internal_store().put(digests_key(prefix), gzip.compress(text.encode(), 1, mtime=0))
