"""The door behind signed addresses of local stores: downloads by range, uploads in parts."""

import base64
import errno
import hashlib
import re
from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.utils.http import content_disposition_header
from django.views.decorators.csrf import csrf_exempt

from training.storage.addresses import Address, AddressRefused, address_read
from training.storage.local import LocalStore
from training.storage.store import ObjectMissing, Store, StoredObject, store_named
from training.storage.upload import Upload, UploadCorrupt, UploadGap

METHODS = {"GET": ("GET", "HEAD"), "PUT": ("PUT", "HEAD")}
IMAGE_TYPES = {
    "bmp": "image/bmp",
    "gif": "image/gif",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "png": "image/png",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "webp": "image/webp",
}  # no SVG: it can hold a script
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@csrf_exempt
async def storage(request: HttpRequest, token: str) -> HttpResponseBase:
    """Serve or take exactly what the token says; whoever has the token has the right."""
    try:
        address = address_read(token)
    except AddressRefused as refusal:
        return _refusal(403, "forbidden", str(refusal))
    if request.method not in METHODS[address.method]:
        return _refusal(403, "forbidden", f"This address is not for {request.method}.")
    if address.method == "GET":
        return await sync_to_async(_download, thread_sensitive=False)(request, address)
    return await sync_to_async(_upload, thread_sensitive=False)(request, address)


def _download(request: HttpRequest, address: Address) -> HttpResponseBase:
    store = store_named(address.store)
    stored = store.stat(address.key)
    if stored is None:
        return _refusal(404, "not_found", "There is no such file any more.")
    try:
        wanted = _range(request, stored.size)
    except ValueError:
        answer = _refusal(416, "range", f"The file has {stored.size} bytes.")
        answer["Content-Range"] = f"bytes */{stored.size}"
        return answer
    first, last = wanted or (0, stored.size - 1)
    try:
        response = _body(store, stored, first, last, head=request.method == "HEAD")
    except ObjectMissing:
        return _refusal(404, "not_found", "There is no such file any more.")
    if wanted:
        response.status_code = 206
        response["Content-Range"] = f"bytes {first}-{last}/{stored.size}"
    return _dressed(response, address, last - first + 1)


def _body(store: Store, stored: StoredObject, first: int, last: int, *, head: bool) -> HttpResponseBase:
    """A plain response where one chunk is all, so that small files cost one thread hop; else a stream."""
    if head or last < first:
        return HttpResponse()
    chunks = store.read(stored.key, first, last)
    chunk = _next(chunks)
    if len(chunk) == last - first + 1:
        return HttpResponse(chunk)
    return StreamingHttpResponse(_stream(chunk, chunks))


async def _stream(chunk: bytes, chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    while chunk:
        yield chunk
        chunk = await sync_to_async(_next, thread_sensitive=False)(chunks)


def _next(chunks: Iterator[bytes]) -> bytes:
    return next(chunks, b"")


def _range(request: HttpRequest, size: int) -> tuple[int, int] | None:
    """First and last byte wanted, or None for all; ValueError where no such bytes exist (RFC 9110, 14.2).

    Several ranges at once, other units and conditional ranges get the whole file, as the RFC allows.
    """
    match = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", request.headers.get("Range", "").replace(" ", ""))
    if not match or match.groups() == ("", "") or "If-Range" in request.headers:
        return None
    begin, end = match.groups()
    first = int(begin) if begin else max(0, size - int(end))
    last = min(int(end), size - 1) if begin and end else size - 1
    if begin and end and int(end) < int(begin):
        return None
    if first >= size:
        raise ValueError
    return first, last


def _dressed(response: HttpResponseBase, address: Address, length: int) -> HttpResponseBase:
    name = address.filename or address.key.rsplit("/", 1)[-1]
    response["Content-Type"] = IMAGE_TYPES.get(name.rsplit(".", 1)[-1].lower(), "application/octet-stream")
    response["Content-Length"] = str(length)
    response["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    response["Accept-Ranges"] = "bytes"
    return _guarded(response)


def _guarded(response: HttpResponseBase) -> HttpResponseBase:
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["Cache-Control"] = "private, no-store"
    return response


def _upload(request: HttpRequest, address: Address) -> HttpResponseBase:
    store = store_named(address.store)
    assert isinstance(store, LocalStore), "only a local store signs addresses of this site"
    upload = Upload(store, address.key, address.size, address.sha256)
    if request.method == "HEAD":
        return _guarded(HttpResponse(headers={"X-Received": str(upload.received())}))
    data = request.read(store.part_size + 1)
    if len(data) > store.part_size:
        return _refusal(413, "too_large", f"A part has at most {store.part_size} bytes.")
    return _part(request, address, upload, data)


def _part(request: HttpRequest, address: Address, upload: Upload, data: bytes) -> HttpResponse:
    try:
        first, size = _content_range(request, len(data))
    except ValueError:
        return _refusal(400, "content_range", "Content-Range must be `bytes FIRST-LAST/SIZE` of the body that is sent.")
    if _damaged(request, data):
        return _refusal(400, "digest", "The part was damaged on its way: send it again.", received=upload.received())
    if size != address.size or first + len(data) > address.size:
        return _refusal(403, "forbidden", f"This address is for exactly {address.size} bytes.")
    try:
        return JsonResponse({"received": upload.add(first, data)})
    except UploadGap as refusal:
        return _refusal(409, "gap", str(refusal), received=refusal.received)
    except UploadCorrupt as refusal:
        return _refusal(400, "sha256", str(refusal), received=0)
    except OSError as error:
        if error.errno not in FULL:
            raise
        return _refusal(507, "disk_full", "The platform's disk is full.")


def _damaged(request: HttpRequest, data: bytes) -> bool:
    """Whether the body is not what its header Content-Digest says (RFC 9530); without one that is not known."""
    told = re.search(r"sha-256=:([A-Za-z0-9+/=]+):", request.headers.get("Content-Digest", ""))
    return told is not None and told[1] != base64.b64encode(hashlib.sha256(data).digest()).decode()


def _content_range(request: HttpRequest, length: int) -> tuple[int, int]:
    """The first byte's place and the whole size; a body without the header is the whole object."""
    header = request.headers.get("Content-Range")
    if header is None:
        return 0, length
    match = re.fullmatch(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})", header.strip())
    if not match or int(match[2]) - int(match[1]) + 1 != length:
        raise ValueError
    return int(match[1]), int(match[3])


def _refusal(status: int, error: str, message: str, **more: int) -> HttpResponse:
    response = JsonResponse({"error": error, "message": message, **more}, status=status)
    _guarded(response)
    return response
