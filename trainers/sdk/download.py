"""The download of a snapshot: exactly the files that are wanted, eight at a time, what is there is kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from trainers.sdk.download_progress import Progress
from trainers.sdk.errors import DatasetError, StorageError
from trainers.sdk.manifest import MANIFEST_NAME, Manifest, SnapshotFile
from trainers.sdk.signed import SignedFiles
from trainers.sdk.uploads import sha256_of

AT_ONCE = 8
ADDRESSES_AT_ONCE = 1000

Addresses = Callable[[list[str]], dict[str, str]]


class SnapshotDownload:
    """Fetches what a folder lacks. Addresses are asked for in groups, just before they are used, so few expire."""

    def __init__(self, addresses: Addresses, progress: Callable[[Progress], None], at_once: int = AT_ONCE) -> None:
        self.addresses, self.progress, self.at_once = addresses, progress, at_once
        self._files = SignedFiles()

    def manifest(self, folder: Path) -> Manifest:
        """Fetch the snapshot's manifest into the folder and read it. Raises DatasetError, StorageError."""
        folder.mkdir(parents=True, exist_ok=True)
        name = "snapshot/manifest.json"
        self._files.get(lambda: self.addresses([name])[name], folder / MANIFEST_NAME, None, None)
        return Manifest.read(folder / MANIFEST_NAME)

    def complete(self, folder: Path, files: Sequence[SnapshotFile]) -> int:
        """Fetch these files, each whole and with the size and checksum that it must have; how many they are.

        The first that can't be had ends it; what was fetched until then stays. Raises StorageError, or DatasetError
        for a file that is not what the manifest says.
        """
        told = Progress(len(files), sum(file.size for file in files))
        self.progress(told)
        broken = threading.Event()
        with ThreadPoolExecutor(self.at_once, thread_name_prefix="sdk-download") as threads:
            for group in _groups(files, ADDRESSES_AT_ONCE):
                urls = self.addresses([file.path for file in group])

                def fetch(file: SnapshotFile, urls: dict[str, str] = urls) -> None:
                    if broken.is_set():  # another file has failed: what waits is not begun
                        return
                    try:
                        self._fetch(folder, file, urls[file.path])
                    except BaseException:
                        broken.set()
                        raise

                for file, _ in zip(group, threads.map(fetch, group), strict=True):
                    self.progress(told.more(file.size))
        return len(files)

    def close(self) -> None:
        """Close the connections."""
        self._files.close()

    def _fetch(self, folder: Path, file: SnapshotFile, url: str) -> None:
        target, given = folder / file.path, [url]
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._files.get(
                lambda: given.pop() if given else self.addresses([file.path])[file.path], target, file.size, file.sha256
            )
        except StorageError as error:
            raise DatasetError(f"{file.path} is not what the snapshot says, or cannot be had: {error}") from error


def missing_files(folder: Path, files: Sequence[SnapshotFile], trusted: bool) -> list[SnapshotFile]:
    """Those that are not there with the right size and checksum.

    Images of old snapshots have no checksum: one of the right size is taken for whole where the folder is `trusted`.
    """
    return [file for file in files if not _is_there(folder / file.path, file, trusted)]


def _is_there(path: Path, file: SnapshotFile, trusted: bool) -> bool:
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    return sha256_of(path) == file.sha256 if file.sha256 else trusted


def _groups(files: Sequence[SnapshotFile], size: int) -> Iterator[list[SnapshotFile]]:
    rest = iter(files)
    while group := list(islice(rest, size)):
        yield group
