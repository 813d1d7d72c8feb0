"""Signed addresses of an S3-compatible server (AWS Signature Version 4): one method, one key, for some time."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from django.utils.http import content_disposition_header

CONTENT_TYPE = "application/octet-stream"


def get_address(client: Any, bucket: str, name: str, seconds: int, filename: str) -> str:
    """An address that gives exactly this object, and has browsers save it as `filename`."""
    disposition = content_disposition_header(True, filename) or "attachment"
    said = {"response-content-disposition": disposition}
    return _signed(client, "GET", bucket, name, said, {}, seconds)


def put_headers(size: int, sha256: str) -> dict[str, str]:
    """What a PUT must carry beside its Content-Length; without a SHA-256 only length and type are signed."""
    return {"Content-Type": CONTENT_TYPE} | ({"x-amz-content-sha256": sha256} if sha256 else {})


def put_address(client: Any, bucket: str, name: str, size: int, sha256: str, seconds: int) -> str:
    """An address that takes exactly these bytes as the object; to be used with `put_headers`."""
    headers = {"Content-Length": str(size), **put_headers(size, sha256)}
    return _signed(client, "PUT", bucket, name, {}, headers, seconds)


def part_address(client: Any, bucket: str, name: str, upload: str, number: int, size: int, seconds: int) -> str:
    """An address that takes one part, of exactly `size` bytes, of one upload; to be used with `put_headers`."""
    query = {"partNumber": str(number), "uploadId": upload}
    return _signed(client, "PUT", bucket, name, query, {"Content-Length": str(size), **put_headers(size, "")}, seconds)


def _signed(
    client: Any, method: str, bucket: str, name: str, query: Mapping[str, str], headers: Mapping[str, str], seconds: int
) -> str:
    """The address; every header in `headers` is signed. botocore's own presigning never signs a payload's hash."""
    from botocore.auth import UNSIGNED_PAYLOAD, S3SigV4QueryAuth
    from botocore.awsrequest import AWSRequest

    class Signer(S3SigV4QueryAuth):
        def payload(self, request: Any) -> str:
            return str(request.headers.get("x-amz-content-sha256", UNSIGNED_PAYLOAD))

    base = f"{client.meta.endpoint_url}/{bucket}/{quote(name, safe='/~')}"
    url = f"{base}?{urlencode(query, quote_via=quote)}" if query else base
    request = AWSRequest(method, url, headers=dict(headers))
    credentials = client._request_signer._credentials.get_frozen_credentials()
    Signer(credentials, "s3", client.meta.region_name, seconds).add_auth(request)
    return str(request.url)
