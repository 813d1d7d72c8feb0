"""Artifacts on their way to the store: pictures and tables of a run, uploaded while the caller waits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainers.sdk.connection import Connection
from trainers.sdk.errors import StorageError
from trainers.sdk.signed import DEFAULT_PART, Address, SignedFiles
from trainers.sdk.uploads import sha256_of

SECONDS = 60.0  # an artifact is not worth more of a GPU's time


class Artifacts:
    """Stores files one by one: an address is asked for, the file is put there, and the platform told what it is."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def store(self, path: Path, kind: str, name: str, epoch: int | None) -> None:
        """Raises StorageError, NetworkError, OSError."""
        words = {"kind": kind, "name": name, "size": path.stat().st_size, "sha256": sha256_of(path)}
        files = SignedFiles(SECONDS)
        try:
            key = files.put(path, lambda: self._address(words))
        finally:
            files.close()
        answer = self.connection.ask("artifact", words | {"key": key, "epoch": epoch}, seconds=SECONDS)
        if answer.status != 200:
            raise StorageError(f"the platform refused it: {answer.reason}")

    def _address(self, words: dict[str, Any]) -> Address:
        answer = self.connection.ask("urls", {"put": [words | {"for": "artifact"}]}, seconds=SECONDS)
        put = (answer.data.get("put") or {}).get(words["name"])
        if answer.status != 200 or not put:
            raise StorageError(f"the platform gave no address for it: {answer.reason}")
        return Address(put["key"], put["url"], int(put.get("part_size") or DEFAULT_PART))
