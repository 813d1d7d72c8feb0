"""Large objects in parts: a file of ours, or a trainer's over signed addresses; half of one is never an object."""

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from training.storage.s3_client import NoSuchObject, Place, failures_told
from training.storage.s3_signing import CONTENT_TYPE, part_address, put_headers

KEPT = timedelta(hours=24)  # what a sender that went away has left is removed after this
OFFERED = 64  # parts whose addresses are given at once: half a gigabyte
logger = logging.getLogger(__name__)


class Uploads:
    """The uploads in parts that are under way below a store's prefix. The server itself remembers them."""

    def __init__(self, client: Any, place: Place, part_size: int) -> None:
        self.client, self.place, self.part_size = client, place, part_size

    def parts_missing(self, name: str, size: int, seconds: int) -> list[dict[str, Any]]:
        """The next parts that are to be sent; empty once all are there, and made into the object.

        Whoever asks again for the same name goes on with the same upload.
        """
        upload = self._find(name) or self._begin(name)
        there = {number: part for number, part in self._parts(name, upload) if part["Size"] == self._size(number, size)}
        count = -(-size // self.part_size)
        missing = [number for number in range(1, count + 1) if number not in there]
        if not missing:
            self._complete(name, upload, there)
        return [self._offer(name, upload, number, size, seconds) for number in missing[:OFFERED]]

    def forget(self, prefix: str, older: timedelta = timedelta(0)) -> None:
        """Give up the uploads below `prefix` that began longer ago than `older`; their parts are removed."""
        before = datetime.now(UTC) - older
        for found in list(self._list(prefix)):
            if found["Initiated"] <= before or not older:
                self._abort(found["Key"], found["UploadId"])

    def _find(self, name: str) -> str | None:
        same = [found for found in self._list(name) if found["Key"] == name]
        return str(min(same, key=lambda found: found["Initiated"])["UploadId"]) if same else None

    def _begin(self, name: str) -> str:
        self.forget(self.place.prefix, KEPT)
        answer = self.client.create_multipart_upload(Bucket=self.place.bucket, Key=name, ContentType=CONTENT_TYPE)
        return str(answer["UploadId"])

    def _complete(self, name: str, upload: str, there: dict[int, dict[str, Any]]) -> None:
        parts = [{"PartNumber": number, "ETag": there[number]["ETag"]} for number in sorted(there)]
        try:
            with failures_told(name):
                self.client.complete_multipart_upload(
                    Bucket=self.place.bucket, Key=name, UploadId=upload, MultipartUpload={"Parts": parts}
                )
        except NoSuchObject:  # another request was first: whoever asks looks for the object
            logger.info("The upload of %s was completed by another request.", name)

    def _offer(self, name: str, upload: str, number: int, size: int, seconds: int) -> dict[str, Any]:
        length = self._size(number, size)
        url = part_address(self.client, self.place.bucket, name, upload, number, length, seconds)
        return {
            "first": (number - 1) * self.part_size,
            "size": length,
            "url": url,
            "headers": put_headers(length, ""),
        }

    def _size(self, number: int, size: int) -> int:
        return min(self.part_size, size - (number - 1) * self.part_size)

    def _parts(self, name: str, upload: str) -> list[tuple[int, dict[str, Any]]]:
        pages = self.client.get_paginator("list_parts").paginate(Bucket=self.place.bucket, Key=name, UploadId=upload)
        return [(int(part["PartNumber"]), part) for page in pages for part in page.get("Parts", [])]

    def _list(self, prefix: str) -> Any:
        pages = self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.place.bucket, Prefix=prefix)
        for page in pages:
            yield from page.get("Uploads", [])

    def _abort(self, name: str, upload: str) -> None:
        try:
            with failures_told(name):
                self.client.abort_multipart_upload(Bucket=self.place.bucket, Key=name, UploadId=upload)
        except NoSuchObject:
            logger.debug("The upload of %s had ended already.", name)


def file_upload(client: Any, bucket: str, name: str, source: Path, part_size: int) -> None:
    """Upload a file of ours with one part in memory at a time; a failure leaves the older object and no parts."""
    upload = client.create_multipart_upload(Bucket=bucket, Key=name, ContentType=CONTENT_TYPE)["UploadId"]
    parts: list[dict[str, Any]] = []
    try:
        with source.open("rb") as file:
            while data := file.read(part_size):
                said = {"Bucket": bucket, "Key": name, "UploadId": upload, "PartNumber": len(parts) + 1}
                parts.append({"PartNumber": len(parts) + 1, "ETag": client.upload_part(**said, Body=data)["ETag"]})
        client.complete_multipart_upload(Bucket=bucket, Key=name, UploadId=upload, MultipartUpload={"Parts": parts})
    except BaseException:
        client.abort_multipart_upload(Bucket=bucket, Key=name, UploadId=upload)
        raise
