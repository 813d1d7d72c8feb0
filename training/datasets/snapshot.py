"""Snapshots: a dataset frozen as a list of its files, so that a run can say exactly what it saw."""

import gzip
import hashlib
import json
import time as clock
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from math import inf
from typing import Any

from django.conf import settings

from training.datasets.digests import digests_now
from training.datasets.pictures import pictures_all
from training.datasets.roles import file_role, label_path
from training.datasets.scan import DatasetError
from training.datasets.split import split_choose
from training.models import Dataset, DatasetSnapshot
from training.storage.store import Store, StoredObject, external_store, internal_store

READ_SECONDS = 10.0  # for images whose digest is not known, when a job is made
MANIFEST_NAME = "snapshot/manifest.json"  # under this name a trainer asks for the list itself


class UnknownFile(KeyError):
    """A name that is not of this snapshot."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"{self.name} is not a file of this snapshot."


def snapshot_take(dataset: Dataset, split_config: Mapping[str, Any] | None = None) -> DatasetSnapshot:
    """The dataset as it is now, with its split; no image is copied.

    The same data with the same split give the same snapshot, found again.
    `split_config` is the job's own split, as in `SplitShares.read`; without
    it the dataset's counts. Raises SplitError for a wrong one and DatasetError if the data are gone.
    """
    files, seed = _files(dataset, split_config)
    content = {
        "format": dataset.format,
        "task_type": dataset.task_type,
        "classes": dataset.classes,
        "files": files,
    }
    version_hash = _version_hash(content)
    found: DatasetSnapshot | None = dataset.snapshots.filter(version_hash=version_hash).first()
    if found and internal_store().stat(found.manifest_key):
        return found
    key = f"snapshots/{dataset.pk}/{version_hash}.json.gz"
    internal_store().put(key, gzip.compress(_json({"version_hash": version_hash, **content}), 6, mtime=0))
    images = Counter(file["split"] for file in files if file["role"] == "image")
    snapshot: DatasetSnapshot = DatasetSnapshot.objects.get_or_create(
        dataset=dataset,
        version_hash=version_hash,
        defaults={
            "manifest_key": key,
            "file_count": len(files),
            "total_bytes": sum(file["size"] for file in files),
            "split_counts": dict(images),
            "split_seed": seed,
        },
    )[0]
    return snapshot


def snapshot_manifest(snapshot: DatasetSnapshot) -> dict[str, Any]:
    """The list as it was taken: version_hash, format, task_type, classes and files.

    A file has `path`, `size` in bytes, `sha256` (null for images in snapshots
    of before they had one), `role` (image, label or metadata) and `split` (null for metadata).
    """
    manifest: dict[str, Any] = json.loads(_manifest_bytes(snapshot.manifest_key))
    return manifest


def _within(items: Iterable[Any], until: float) -> Iterator[Any]:
    for item in items:
        if clock.monotonic() > until:
            raise TimeoutError("checking the data takes too long")
        yield item


def snapshot_verify(snapshot: DatasetSnapshot, seconds: float = inf) -> list[str]:
    """What has changed in the data since, one sentence a file; empty if nothing that a run reads has.

    Sizes and SHA-256 of all files are compared. Labels and metadata are read
    again, images where the store tells that they were written since they were read last.
    Raises TimeoutError if that takes longer than `seconds`.
    """
    until = clock.monotonic() + seconds
    manifest = snapshot_manifest(snapshot)
    content = {name: value for name, value in manifest.items() if name != "version_hash"}
    if not manifest["version_hash"] == snapshot.version_hash == _version_hash(content):
        return [f"{snapshot.manifest_key}: the snapshot's own list of files was changed."]
    store, prefix = external_store(), snapshot.dataset.prefix
    there = {stored.key.removeprefix(f"{prefix}/"): stored for stored in _within(store.list(prefix), until)}
    images = [file["path"] for file in manifest["files"] if file["role"] == "image" and file["sha256"]]
    digests = digests_now(prefix, [there[path] for path in images if path in there], until)
    files = _within(manifest["files"], until)
    checked = (_changed(store, file, there.get(file["path"]), digests.get(file["path"])) for file in files)
    return [problem for problem in checked if problem]


def snapshot_urls(snapshot: DatasetSnapshot, names: Iterable[str]) -> dict[str, str]:
    """Signed addresses, good for an hour, for files of the snapshot and for `snapshot/manifest.json`.

    UnknownFile for any other name: a snapshot opens exactly its own files.
    """
    paths = _paths(settings.INTERNAL_STORAGE_URL, snapshot.manifest_key)
    store, prefix = external_store(), snapshot.dataset.prefix
    urls: dict[str, str] = {}
    for name in names:
        if name == MANIFEST_NAME:
            urls[name] = _manifest_url(snapshot)
        elif name in paths:
            urls[name] = store.presign_get(f"{prefix}/{name}")
        else:
            raise UnknownFile(name)
    return urls


def _files(dataset: Dataset, split_config: Mapping[str, Any] | None) -> tuple[list[dict[str, Any]], int | None]:
    """The manifest's files in order of their paths, and the split's seed if one was used."""
    store = external_store()
    objects = {stored.key.removeprefix(f"{dataset.prefix}/"): stored for stored in store.list(dataset.prefix)}
    images = [path for path in objects if file_role(path) == "image"]
    if not images:
        raise DatasetError(f"The files of {dataset.name} are no longer in the external store.")
    config = split_config or dataset.split_config
    classes = None if dataset.split and not config else {one.path: one.classes for one in pictures_all(dataset)}
    parts, seed = split_choose(images, config, dataset.split, classes)
    by_label = {label_path(path): part for path, part in parts.items()}
    files = [_entry(path, stored, parts.get(path) or by_label.get(path)) for path, stored in objects.items()]
    files = [file for file in files if file["split"] or file["role"] == "metadata"]
    hashed = [file for file in files if file["role"] != "image"]
    contents = store.get_each(objects[file["path"]].key for file in hashed)
    for file, content in zip(hashed, contents, strict=True):  # read again each time: a change must not go unseen
        file["sha256"] = hashlib.sha256(content).hexdigest()
    frozen = [file for file in files if file["role"] == "image"]
    digests = _image_digests(dataset, [objects[file["path"]] for file in frozen])
    for file in frozen:
        file["sha256"] = digests.get(file["path"])
    return files, seed


def _image_digests(dataset: Dataset, images: list[StoredObject]) -> dict[str, str]:
    """The images' SHA-256, known since their import; none of them where reading what is not known takes too long.

    That is so after a restore, or of a dataset from before digests were kept: whoever makes a job does not wait for
    it, images are then told by their sizes, and each time some more are read.
    """
    try:
        return digests_now(dataset.prefix, images, clock.monotonic() + READ_SECONDS)
    except TimeoutError:
        return {}


def _entry(path: str, stored: StoredObject, part: str | None) -> dict[str, Any]:
    return {"path": path, "size": stored.size, "sha256": None, "role": file_role(path), "split": part}


def _sha256(store: Store, key: str) -> str:
    """Read again each time: a label changed behind the platform's back must not go unseen."""
    return hashlib.sha256(store.get(key)).hexdigest()


def _changed(store: Store, file: dict[str, Any], there: StoredObject | None, digest: str | None) -> str:
    """`digest` is the file's SHA-256 now, where that is known already."""
    if there is None:
        return f"{file['path']}: the file is missing."
    if there.size != file["size"]:
        return f"{file['path']}: the file has {there.size} bytes, but had {file['size']}."
    if file["sha256"] and (digest or _sha256(store, there.key)) != file["sha256"]:
        return f"{file['path']}: the file's content has changed."
    return ""


def _version_hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(_json(content)).hexdigest()


def _json(content: dict[str, Any]) -> bytes:
    """One spelling for one content, on every machine."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def _manifest_bytes(key: str) -> bytes:
    return gzip.decompress(internal_store().get(key))


def _manifest_url(snapshot: DatasetSnapshot) -> str:
    """Trainers in any language read plain JSON: a copy beside the compressed list, made when first asked for."""
    store, key = internal_store(), snapshot.manifest_key.removesuffix(".gz")
    if store.stat(key) is None:
        store.put(key, _manifest_bytes(snapshot.manifest_key))
    return store.presign_get(key, filename="manifest.json")


@lru_cache(maxsize=8)
def _paths(store_url: str, manifest_key: str) -> frozenset[str]:
    """The paths of a snapshot; its key holds the hash of its content, so they never change."""
    return frozenset(file["path"] for file in json.loads(_manifest_bytes(manifest_key))["files"])
