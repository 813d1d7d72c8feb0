"""A file on its way into an object store: each part to a signed address, joined by the platform."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from trainers.sdk.connection import BackOff
from trainers.sdk.errors import StorageError

TROUBLES = (429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of the file, and the signed address and headers with which it is sent."""

    first: int
    size: int
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Part:
        return cls(int(told["first"]), int(told["size"]), str(told["url"]), dict(told.get("headers") or {}))


@dataclass(frozen=True, slots=True)
class Address:
    """Where one file may be put: the key that names it to the platform, and how.

    A local store has one `url` for parts of at most `part_size` bytes; an object store has the `parts` that are
    still to be sent, none of them once the platform has the whole file and has verified it.
    """

    key: str
    url: str = ""
    part_size: int = 8 << 20
    parts: tuple[Part, ...] | None = None


class PartsUpload:
    """One upload; it goes on where an interrupted one of the same file stopped."""

    def __init__(self, client: httpx.Client, path: Path, address_of: Callable[[], Address], seconds: float) -> None:
        self.client, self.path, self.address_of, self.seconds = client, path, address_of, seconds
        self._back_off = BackOff()
        self._sent: dict[int, int] = {}
        self._refusals = 0
        self._deadline = time.monotonic() + seconds

    def run(self, address: Address) -> str:
        """Send what is missing until nothing is; the key. Raises StorageError, and what `address_of` raises."""
        while address.parts:
            for part in address.parts:
                if not self._sent_whole(part):
                    break  # the addresses are no good any more: ask which parts are missing
            address = self.address_of()
        return address.key

    def _sent_whole(self, part: Part) -> bool:
        """Send a part, patiently; False where a new address is to be asked for. Raises StorageError."""
        if self._sent.get(part.first, 0) > 1:
            raise StorageError(f"{self.path.name}: the store asks for byte {part.first} again and again")
        while True:
            trouble = self._put(part)
            if trouble is None:
                self._progress(part)
                return True
            if not trouble:
                return False
            pause = self._back_off.next(None)
            if time.monotonic() + pause > self._deadline:
                raise StorageError(f"{self.path.name} could not be uploaded: {trouble}")
            time.sleep(pause)

    def _put(self, part: Part) -> str | None:
        """None if the store took the part; what is to be waited for; or nothing, if waiting does not help."""
        with self.path.open("rb") as file:
            file.seek(part.first)
            content = file.read(part.size)
        try:
            md5 = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
            response = self.client.put(part.url, content=content, headers={"Content-MD5": md5, **part.headers})
        except httpx.HTTPError as error:
            return f"{type(error).__name__}: {error}"
        if response.status_code == 200:
            return None
        if response.status_code in TROUBLES:
            return f"the store answered {response.status_code}"
        self._refusals += 1
        if response.status_code not in (400, 403, 404) or self._refusals > 1:
            raise StorageError(f"{self.path.name}: the store refused it: {response.status_code} {response.text[:200]}")
        return ""

    def _progress(self, part: Part) -> None:
        """A part was taken: the patience for what may go wrong next is renewed."""
        self._sent[part.first] = self._sent.get(part.first, 0) + 1
        self._refusals = 0
        self._back_off.reset()
        self._deadline = time.monotonic() + self.seconds
