"""Files over signed addresses: parts up with Content-Range, whole files down; neither needs our token."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from trainers.sdk import clients
from trainers.sdk.connection import BackOff
from trainers.sdk.errors import StorageError
from trainers.sdk.fetch import Fetch
from trainers.sdk.parts import Address, PartsUpload

DEFAULT_PART = 8 << 20


class SignedFiles:
    """A client for signed addresses, safe under threads; `seconds` bounds how long a file goes on without progress."""

    def __init__(self, seconds: float = 600.0) -> None:
        self.seconds = seconds
        self._client = clients.client(60.0)

    def put(self, path: Path, address_of: Callable[[], Address]) -> str:
        """Upload a file, going on where an interrupted upload stopped; its key.

        A 403 is answered by asking `address_of` for one new address; 5xx, 429 and a broken connection by waiting;
        what arrived damaged is sent once more from the start. Raises StorageError.
        """
        address = address_of()
        if address.parts is not None:
            return PartsUpload(self._client, path, address_of, self.seconds).run(address)
        upload = _Upload(self._client, path, address, address_of, self.seconds)
        try:
            return upload.run()
        finally:
            upload.close()

    def get(self, address_of: Callable[[], str], target: Path, size: int | None, sha256: str | None) -> None:
        """Download into `target`, wholly or not at all; `address_of` is asked again where an address has expired.

        Raises StorageError, and what `address_of` raises.
        """
        Fetch(self._client, address_of, target, size, sha256, self.seconds).run()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def content_digest(content: bytes) -> str:
    """The value of the header Content-Digest (RFC 9530), by which a part that arrives damaged is found at once."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


class _Upload:
    """One file on its way up."""

    def __init__(
        self, client: httpx.Client, path: Path, address: Address, address_of: Callable[[], Address], seconds: float
    ) -> None:
        self.client, self.address_of, self.seconds = client, address_of, seconds
        self.name, self.size = path.name, path.stat().st_size
        self._file = path.open("rb")
        self._address = address
        self._back_off = BackOff()
        self._deadline = time.monotonic() + seconds
        self._renewed = self._restarted = False

    def run(self) -> str:
        if not self.size:
            raise StorageError(f"{self.name} is empty")
        received = self._received()
        while received < self.size:
            response = self._send(received)
            if response is None:
                received = self._received()
            elif response.status_code == 200:
                received = self._progress(received, int(response.json()["received"]))
            else:
                received = self._after_refusal(response, received)
        return self._address.key

    def close(self) -> None:
        self._file.close()

    def _send(self, first: int) -> httpx.Response | None:
        """PUT the part that begins at `first`; None if no answer came."""
        self._file.seek(first)
        content = self._file.read(self._address.part_size)
        headers = {"Content-Range": f"bytes {first}-{first + len(content) - 1}/{self.size}"}
        headers["Content-Digest"] = content_digest(content)
        try:
            return self.client.put(self._address.url, content=content, headers=headers)
        except httpx.HTTPError as error:
            self._wait(f"{type(error).__name__}: {error}", None)
            return None

    def _received(self) -> int:
        """How many bytes the store already has."""
        while True:
            try:
                response = self.client.head(self._address.url)
            except httpx.HTTPError as error:
                self._wait(f"{type(error).__name__}: {error}", None)
                continue
            if response.status_code == 200:
                return min(int(response.headers.get("X-Received", "0")), self.size)
            self._after_refusal(response, 0)

    def _after_refusal(self, response: httpx.Response, received: int) -> int:
        """Set right what was refused; where to go on. Raises StorageError if that cannot be."""
        status, head = response.status_code, response.request.method == "HEAD"
        if status == 403 and not self._renewed:
            self._renewed = True
            self._address = self.address_of()
            return received if head else self._received()
        if status in (409, 416, 400, 422) and not self._restarted:
            self._restarted = True
            return 0 if head else self._received()
        if status not in (429, 500, 502, 503, 504):
            raise StorageError(f"{self.name}: the store refused it: {status} {response.text[:200]}")
        asked = response.headers.get("Retry-After", "")
        self._wait(f"the store answered {status}", float(asked) if asked.isdigit() else None)
        return received if head else self._received()

    def _progress(self, before: int, received: int) -> int:
        """A part was taken: the patience for what may go wrong next is renewed."""
        if received <= before:
            self._wait(f"the store says it has {received} bytes after taking more", None)
            return received
        self._renewed = self._restarted = False
        self._back_off.reset()
        self._deadline = time.monotonic() + self.seconds
        return received

    def _wait(self, trouble: str, retry_after: float | None) -> None:
        pause = self._back_off.next(retry_after)
        if time.monotonic() + pause > self._deadline:
            raise StorageError(f"{self.name} could not be uploaded: {trouble}")
        time.sleep(pause)
