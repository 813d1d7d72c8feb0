"""A store in a bucket of any S3-compatible server; its keys never leave the platform, only signed addresses do."""

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

from training.storage import s3_signing
from training.storage.s3_client import NoSuchObject, Place, client_make, failures_told
from training.storage.s3_upload import Uploads, file_upload
from training.storage.store import (
    CHUNK,
    FORBIDDEN,
    GET_SECONDS,
    PUT_SECONDS,
    RESERVED,
    ObjectMissing,
    Store,
    StoreAway,
    StoredObject,
    hurried,
    key_validate,
)

AT_ONCE = 1000  # objects that one request may delete
READ_TRIES = 5


class S3Store(Store):
    """Objects below the prefix of a `s3://bucket/prefix` URL; its own records lie in `.store`.

    A checksum once verified is remembered beside the objects with the ETag
    of what it belongs to, so a replaced object is read again. Nothing that an
    uploader says of a checksum is believed.
    """

    def __init__(self, name: str, url: str) -> None:
        super().__init__(name, url)
        self.place = Place.of(url)
        self.bucket = self.place.bucket
        self._reading = Lock()

    @property
    def client(self) -> Any:
        return self._hurried_client if hurried() else self._patient_client

    @cached_property
    def _patient_client(self) -> Any:
        return client_make(self.name)

    @cached_property
    def _hurried_client(self) -> Any:
        return client_make(self.name, patient=False)

    @property
    def uploads(self) -> Uploads:
        return Uploads(self.client, self.place, self.part_size)

    def object_name(self, key: str) -> str:
        """What the server calls it."""
        return self.place.prefix + key_validate(key)

    def check(self) -> None:
        try:
            with failures_told(f"the bucket {self.bucket}"):
                self._hurried_client.head_bucket(Bucket=self.bucket)
        except NoSuchObject as error:
            raise StoreAway(f"There is no bucket {self.bucket} for the {self.name} store.") from error

    def stat(self, key: str) -> StoredObject | None:
        found = self._head(key)
        return StoredObject(key, int(found["ContentLength"])) if found else None

    def sha256(self, key: str) -> str:
        found = self._head(key)
        if found is None:
            raise self._missing(key)
        if known := self._sum_remembered(key, found["ETag"]):
            return known
        with self._reading:  # a caller that lost patience and came again waits for the first reading
            if known := self._sum_remembered(key, found["ETag"]):
                return known
            digest = hashlib.sha256()
            for chunk in self._read(key, 0, None, found["ETag"]):
                digest.update(chunk)
            record = {"sha256": digest.hexdigest(), "etag": found["ETag"]}
            self._bytes_put(self._sum_name(key), json.dumps(record).encode())
        return digest.hexdigest()

    def read(self, key: str, first: int = 0, last: int | None = None) -> Iterator[bytes]:
        found = self._head(key)
        if found is None:
            raise self._missing(key)
        return self._read(
            key, first, min(last, found["ContentLength"] - 1) if last is not None else None, found["ETag"]
        )

    def put(self, key: str, source: Path | bytes, *, durable: bool = True) -> StoredObject:
        name = self.object_name(key)
        if isinstance(source, bytes):
            self._bytes_put(name, source)
            return StoredObject(key, len(source))
        size = source.stat().st_size
        if size <= self.part_size:
            return self.put(key, source.read_bytes())
        with failures_told(f"the upload of {key}"):
            file_upload(self.client, self.bucket, name, source, self.part_size)
        return StoredObject(key, size)

    def settle(self) -> None:
        """The server answers a PUT only once the object is kept."""

    def delete(self, key: str) -> None:
        with failures_told(f"the deletion of {key}"):
            self.client.delete_object(Bucket=self.bucket, Key=self.object_name(key))
            self.client.delete_object(Bucket=self.bucket, Key=self._sum_name(key))

    def delete_all(self, prefix: str) -> None:
        keys = [stored.key for stored in self.list(prefix)]
        names = [name for key in keys for name in (self.object_name(key), self._sum_name(key))]
        with failures_told(f"the deletion of {prefix}"):
            for start in range(0, len(names), AT_ONCE):
                group = [{"Key": name} for name in names[start : start + AT_ONCE]]
                answer = self.client.delete_objects(Bucket=self.bucket, Delete={"Objects": group, "Quiet": True})
                if answer.get("Errors"):
                    raise StoreAway(f"Some objects below {prefix} could not be deleted: {answer['Errors'][0]['Code']}.")
            self.uploads.forget(f"{self.object_name(prefix.rstrip('/'))}/")

    def list(self, prefix: str) -> Iterator[StoredObject]:
        below = f"{self.object_name(prefix.rstrip('/'))}/"
        with failures_told(f"the list of {prefix}"):
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=below):
                for found in page.get("Contents", []):
                    key = found["Key"].removeprefix(self.place.prefix)
                    if not FORBIDDEN.search(key) and not key.endswith("/"):
                        version = found["ETag"].strip('"').replace(" ", "")
                        yield StoredObject(key, int(found["Size"]), version=version)

    def presign_get(self, key: str, seconds: int = GET_SECONDS, filename: str = "") -> str:
        name = filename or key.rsplit("/", 1)[-1]
        return s3_signing.get_address(self.client, self.bucket, self.object_name(key), seconds, name)

    def presign_put(self, key: str, size: int, sha256: str, seconds: int = PUT_SECONDS) -> str:
        return s3_signing.put_address(self.client, self.bucket, self.object_name(key), size, sha256, seconds)

    def upload_offer(self, key: str, size: int, sha256: str, seconds: int = PUT_SECONDS) -> dict[str, Any]:
        """{"part_size", "parts"}: the parts that are still to be sent, each with address, headers and place.

        No parts: the object is there, whole and verified. What was sent but is not what was announced is removed.
        """
        stored = self.stat(key)
        if stored is None and size > self.part_size:
            with failures_told(f"the upload of {key}"):
                parts = self.uploads.parts_missing(self.object_name(key), size, seconds)
            if parts:
                return {"part_size": self.part_size, "parts": parts}
            stored = self.stat(key)
        if stored is not None and stored.size == size and self.sha256(key) == sha256:
            return {"part_size": self.part_size, "parts": []}
        if stored is not None:
            self.delete(key)
        if size > self.part_size:
            return self.upload_offer(key, size, sha256, seconds)
        address, headers = self.presign_put(key, size, sha256, seconds), s3_signing.put_headers(size, sha256)
        return {
            "part_size": self.part_size,
            "parts": [{"first": 0, "size": size, "url": address, "headers": headers}],
        }

    def _head(self, key: str) -> dict[str, Any] | None:
        name = self.object_name(key)
        try:
            with failures_told(key):
                found: dict[str, Any] = self.client.head_object(Bucket=self.bucket, Key=name)
                return found
        except NoSuchObject:
            return None

    def _read(self, key: str, first: int, last: int | None, etag: str) -> Iterator[bytes]:
        """The bytes, going on where a connection broke; never those of another version."""
        from botocore.exceptions import BotoCoreError

        tries = 0
        while True:
            try:
                for chunk in self._body(key, first, last, etag):
                    first, tries = first + len(chunk), 0
                    yield chunk
                return
            except BotoCoreError as error:
                tries += 1
                if tries == READ_TRIES:
                    raise StoreAway(f"The object store broke off while {key} was read: {error}.") from error

    def _body(self, key: str, first: int, last: int | None, etag: str) -> Iterator[bytes]:
        if last is not None and last < first:
            return
        wanted: dict[str, str] = (
            {} if first == 0 and last is None else {"Range": f"bytes={first}-{'' if last is None else last}"}
        )
        try:
            with failures_told(key):
                answer = self.client.get_object(Bucket=self.bucket, Key=self.object_name(key), IfMatch=etag, **wanted)
        except NoSuchObject as error:
            raise self._missing(key) from error
        except StoreAway as refusal:
            if "InvalidRange" in str(refusal):  # from the end of it on there is nothing
                return
            raise
        yield from answer["Body"].iter_chunks(CHUNK)

    def _bytes_put(self, name: str, data: bytes) -> None:
        with failures_told(f"the upload of {name.removeprefix(self.place.prefix)}"):
            self.client.put_object(Bucket=self.bucket, Key=name, Body=data, ContentType=s3_signing.CONTENT_TYPE)

    def _sum_name(self, key: str) -> str:
        return f"{self.place.prefix}{RESERVED}/sha256/{key}.json"

    def _sum_remembered(self, key: str, etag: str) -> str | None:
        try:
            with failures_told(key):
                answer = self.client.get_object(Bucket=self.bucket, Key=self._sum_name(key))
                record: dict[str, str] = json.loads(answer["Body"].read(CHUNK))
        except (NoSuchObject, ValueError):
            return None
        return record.get("sha256") if record.get("etag") == etag else None

    def _missing(self, key: str) -> ObjectMissing:
        return ObjectMissing(f"There is no {key} in the {self.name} store.")
