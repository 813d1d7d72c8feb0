"""One file on its way down: it goes on where a connection broke, under a new address where the old one has expired."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from trainers.sdk.connection import BackOff
from trainers.sdk.errors import StorageError

BLOCK = 1 << 20
TROUBLES = (429, 500, 502, 503, 504)
RESTARTS = 3


class _Trouble(Exception):
    """What may be different the next time."""


class _Damaged(Exception):
    """What arrived is not what was to come: begin anew."""


class Fetch:
    """Gathers beside `target`, and gives it that name once it is whole; `seconds` bounds the time without progress."""

    def __init__(
        self,
        client: httpx.Client,
        address_of: Callable[[], str],
        target: Path,
        size: int | None,
        sha256: str | None,
        seconds: float,
    ) -> None:
        self.client, self.address_of, self.target = client, address_of, target
        self.size, self.sha256, self.seconds = size, sha256, seconds
        self.part = target.with_name(f"{target.name}.part")
        self._back_off, self._deadline = BackOff(), time.monotonic() + seconds
        self._renewed, self._damaged = False, 0
        self._begin()

    def run(self) -> None:
        """Until the file is there, or it can't be had. Raises StorageError, OSError, and what `address_of` raises."""
        url = self.address_of()
        while True:
            try:
                self._stream(url)
                self._check()
                os.replace(self.part, self.target)
                return
            except PermissionError:
                if self._renewed:
                    raise StorageError(f"{self.target.name}: the address has expired, and so has the new one") from None
                self._renewed, url = True, self.address_of()
            except _Damaged as error:
                self._damaged += 1
                self._begin()
                if self._damaged > RESTARTS:
                    raise StorageError(f"{self.target.name} could not be downloaded: {error}") from error
                self._wait(error)
            except (_Trouble, httpx.HTTPError) as error:
                self._wait(error)

    def _begin(self) -> None:
        self._received, self._digest, self._etag = 0, hashlib.sha256(), ""

    def _stream(self, url: str) -> None:
        """Append what is missing to what is there."""
        headers = {"Accept-Encoding": "identity"}
        if self._received:
            headers["Range"] = f"bytes={self._received}-"
            headers |= {"If-Match": self._etag} if self._etag else {}
        with self.client.stream("GET", url, headers=headers) as response:
            self._judge(response)
            with self.part.open("r+b" if self._received else "wb") as file:
                file.seek(self._received)
                for block in response.iter_raw(BLOCK):
                    file.write(block)
                    self._take(block)

    def _judge(self, response: httpx.Response) -> None:
        """Whether what follows is what is missing; a store that sends all of it again is listened to from the start."""
        status = response.status_code
        if status == 403:
            raise PermissionError
        if status in TROUBLES:
            raise _Trouble(f"the store answered {status}")
        if status in (412, 416):
            raise _Damaged("the file was changed while it was downloaded")
        if status not in (200, 206):
            raise StorageError(f"{self.target.name} could not be downloaded: the store answered {status}")
        if status == 206 and not response.headers.get("Content-Range", "").startswith(f"bytes {self._received}-"):
            raise _Damaged("the store sent another part than was asked for")
        if status == 200:
            self._begin()
            self._etag = response.headers.get("ETag", "")

    def _take(self, block: bytes) -> None:
        """Bytes have come: the patience for what may go wrong next is renewed."""
        self._digest.update(block)
        self._received += len(block)
        self._renewed = False
        self._back_off.reset()
        self._deadline = time.monotonic() + self.seconds

    def _check(self) -> None:
        if self.size is not None and self._received != self.size:
            raise _Damaged(f"{self._received} bytes arrived, {self.size} were expected")
        if self.sha256 and self._digest.hexdigest() != self.sha256:
            raise _Damaged("its SHA-256 is not the one expected")

    def _wait(self, trouble: Exception) -> None:
        pause = self._back_off.next(None)
        if time.monotonic() + pause > self._deadline:
            raise StorageError(f"{self.target.name} could not be downloaded: {trouble}") from trouble
        time.sleep(pause)
