"""Places in object stores from which organizations may import: which those are, and how their files come here."""

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from threading import Event
from typing import Any
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext

from training.datasets.scan import DatasetError, Progress
from training.imports.archives.entries import Unpacking
from training.models import Organization
from training.storage.s3_client import NoSuchObject, Place, client_make, failures_told
from training.storage.store import CHUNK, StoreAway

AT_ONCE = 8
TRIES = 6  # without a byte in between
PAUSE_SECONDS = 0.5  # before the second; twice that before each further one
TELL_SECONDS = 1.0
SCHEME = "s3"


def places_allowed(organization: Organization) -> list[str]:
    """The addresses below which an organization may import."""
    named = [place.rpartition("=") for place in settings.IMPORT_S3_PLACES]
    return [address.rstrip("/") for slug, _, address in named if slug in ("", organization.slug)]


def place_checked(organization: Organization, address: str) -> str:
    """The address as it is kept. DatasetError, the same whether there is no such place or it is not allowed."""
    address = address.strip().rstrip("/")
    place = _place(address)
    if place is not None:
        for allowed in map(_place, places_allowed(organization)):
            if allowed and place.bucket == allowed.bucket and place.prefix.startswith(allowed.prefix):
                return address
    raise DatasetError(
        gettext("%(address)s: your organization may import nothing from there.") % {"address": address[:200]}
    )


def place_fetch(address: str, unpacking: Unpacking, progress: Progress | None) -> None:
    """Copy every object below the address into the folder, eight at once, each streamed. Raises DatasetError."""
    place = _place(address)
    assert place is not None
    try:
        client = client_make("import")
        with failures_told(f"the list of {address}"):
            found = [(place_of, key, size) for place_of, key, size in _listed(client, place, unpacking)]
        if not found:
            raise DatasetError(f"{address}: there is nothing below it.")
        _fetch(client, place.bucket, found, unpacking, progress)
    except (StoreAway, NoSuchObject, ImproperlyConfigured) as error:
        raise DatasetError(f"{address} can't be read: {error}") from error


def _place(address: str) -> Place | None:
    """Bucket and prefix; None for what is no address of an object store, or has dots for folders."""
    parts = urlsplit(address)
    names = unquote(parts.path).strip("/").split("/")
    if parts.scheme != SCHEME or parts.query or parts.fragment or {".", ".."} & set(names):
        return None
    try:
        return Place.of(address)
    except ImproperlyConfigured:
        return None


def _listed(client: Any, place: Place, unpacking: Unpacking) -> Iterator[tuple[str, str, int]]:
    """(where it goes, its key, its bytes) of each object, judged as the entries of an archive are."""
    total = 0
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=place.bucket, Prefix=place.prefix)
    for page in pages:
        for one in page.get("Contents", []):
            name = one["Key"].removeprefix(place.prefix)
            if name.endswith("/") or not name:
                continue
            total += int(one["Size"])
            unpacking.announced(total)
            if where := unpacking.file_judge(name):
                yield where, one["Key"], int(one["Size"])


def _fetch(
    client: Any, bucket: str, found: list[tuple[str, str, int]], unpacking: Unpacking, progress: Progress | None
) -> None:
    total, waiting, stop = sum(size for _, _, size in found), iter(found), Event()
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="fetch")
    try:
        running: set[Future[None]] = set()
        for where, key, _ in waiting:
            chunks = _chunks(client, bucket, key, stop)
            running.add(pool.submit(unpacking.write, where, chunks))
            while len(running) >= 2 * AT_ONCE:
                running = _some_done(running)
                _tell(progress, unpacking.bytes, total)
        while running:
            running = _some_done(running)
            _tell(progress, unpacking.bytes, total)
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress:
        progress("Fetching", done, total)


def _some_done(running: set[Future[None]]) -> set[Future[None]]:
    """Those that are left after a moment: a slow store must not keep the import's lease from being renewed."""
    done, left = wait(running, TELL_SECONDS, return_when=FIRST_COMPLETED)
    for one in done:
        one.result()
    return left


def _chunks(client: Any, bucket: str, key: str, stop: Event) -> Iterator[bytes]:
    """An object's bytes, going on where a connection broke; never those of another version. Raises StoreAway."""
    at, etag, tries = 0, "", 0
    while True:
        rest = {"Range": f"bytes={at}-", "IfMatch": etag} if at else {}
        try:
            with (
                failures_told(key),
                closing((answer := client.get_object(Bucket=bucket, Key=key, **rest))["Body"]) as body,
            ):
                etag = answer["ETag"]
                for chunk in body.iter_chunks(CHUNK):
                    if stop.is_set():
                        raise StoreAway(f"The import was ended before {key} was whole.")
                    at, tries = at + len(chunk), 0
                    yield chunk
            return
        except StoreAway as error:
            tries += 1
            if tries == TRIES or stop.is_set() or not _may_pass(error):
                raise
            stop.wait(PAUSE_SECONDS * 2 ** (tries - 1))


def _may_pass(error: StoreAway) -> bool:
    """Whether the connection was what failed: a refusal stays one."""
    from botocore.exceptions import BotoCoreError

    return isinstance(error.__cause__, BotoCoreError)
