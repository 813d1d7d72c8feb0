"""The download of a snapshot: exactly the manifest's files, eight at a time, labels first, what is there is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from trainers.sdk.errors import DatasetError, StorageError
from trainers.sdk.manifest import MANIFEST_NAME, Manifest, SnapshotFile
from trainers.sdk.signed import SignedFiles
from trainers.sdk.uploads import sha256_of

AT_ONCE = 8
ADDRESSES_AT_ONCE = 1000
SECONDS_BETWEEN_LINES = 3.0

Addresses = Callable[[list[str]], dict[str, str]]


class SnapshotDownload:
    """Fetches what a folder lacks. Addresses are asked for in groups, just before they are used, so none expires."""

    def __init__(self, addresses: Addresses, say: Callable[[str], None]) -> None:
        self.addresses, self.say = addresses, say
        self._files = SignedFiles()

    def manifest(self, folder: Path) -> Manifest:
        """Fetch the snapshot's manifest into the folder and read it. Raises DatasetError, StorageError."""
        folder.mkdir(parents=True, exist_ok=True)
        self._fetch("snapshot/manifest.json", folder / MANIFEST_NAME, None, None)
        return Manifest.read(folder / MANIFEST_NAME)

    def complete(self, folder: Path, manifest: Manifest, verify: bool) -> int:
        """Fetch every file that is missing or has the wrong size (or checksum, to verify); how many were fetched.

        Raises StorageError, or DatasetError for a file that is not what the manifest says.
        """
        wanted = [file for file in manifest.files if not _is_there(folder / file.path, file, verify)]
        fetched, said = 0, time.monotonic()
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="sdk-download") as threads:
            for group in _groups(wanted, ADDRESSES_AT_ONCE):
                urls = self.addresses([file.path for file in group])
                for _ in threads.map(lambda file, urls=urls: self._fetch_file(folder, file, urls[file.path]), group):
                    fetched += 1
                    if time.monotonic() - said >= SECONDS_BETWEEN_LINES:
                        said = time.monotonic()
                        self.say(f"dataset: {fetched} of {len(wanted)} files downloaded")
        return fetched

    def close(self) -> None:
        """Close the connections."""
        self._files.close()

    def _fetch_file(self, folder: Path, file: SnapshotFile, url: str) -> None:
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._fetch(file.path, target, file.size, file.sha256, url)
        except StorageError as error:
            raise DatasetError(f"{file.path} is not what the snapshot says, or cannot be had: {error}") from error

    def _fetch(self, name: str, target: Path, size: int | None, sha256: str | None, url: str | None = None) -> None:
        """Fetch one file; an address that has expired is asked for once more."""
        try:
            self._files.get(url or self.addresses([name])[name], target, size, sha256)
        except PermissionError:
            try:
                self._files.get(self.addresses([name])[name], target, size, sha256)
            except PermissionError as error:
                raise StorageError(f"{name}: {error}, and so has the new one") from error


def _is_there(path: Path, file: SnapshotFile, verify: bool) -> bool:
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    return not (verify and file.sha256) or sha256_of(path) == file.sha256


def _groups(files: Sequence[SnapshotFile], size: int) -> Iterator[list[SnapshotFile]]:
    rest = iter(files)
    while group := list(islice(rest, size)):
        yield group
