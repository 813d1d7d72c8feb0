"""The dataset of a run: fetched once per worker, checked, and laid out for the framework."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from trainers.sdk import class_folders, coco, yolo
from trainers.sdk.cache import DatasetCache
from trainers.sdk.download import SnapshotDownload
from trainers.sdk.errors import DatasetError
from trainers.sdk.loglines import Logging
from trainers.sdk.manifest import MANIFEST_NAME, Manifest
from trainers.sdk.storage import Storage


class Data(Storage, Logging):
    """Datasets as folders; whatever goes wrong raises DatasetError, StorageError or NetworkError."""

    def download_dataset(self) -> Path:
        """The folder of this job's snapshot in the worker's cache, whole and of the right sizes.

        A snapshot that is there already is not downloaded again, only checked; two jobs at once download it once.
        """
        environment = self.environment
        if not environment.snapshot_id:
            raise DatasetError("this job has no dataset: SNAPSHOT_ID is not set")
        self._cache = DatasetCache(environment.dataset_cache_dir)
        key = f"{environment.snapshot_id}_{environment.dataset_version_hash[:8]}"
        self._cache.use(key)
        download = SnapshotDownload(self._signed_get, lambda text: self.log("info", text))
        try:
            with self._cache.downloading(key):
                return self._fetched(self._cache, key, download)
        finally:
            download.close()

    def create_data_yaml(self, folder: str | Path) -> Path:
        """Write WORK_DIR/data.yaml and a list of images per split, as Ultralytics reads them; the yaml's path."""
        return yolo.data_yaml(Path(folder), Manifest.read(Path(folder) / MANIFEST_NAME), self.environment.work_dir)

    def create_class_folders(self, folder: str | Path) -> Path:
        """Lay a classification dataset out as WORK_DIR/classes/{split}/{class}/…, with links to the images."""
        manifest = Manifest.read(Path(folder) / MANIFEST_NAME)
        return class_folders.class_folders(Path(folder), manifest, self.environment.work_dir)

    def validate_dataset(self, folder: str | Path, classes: int | None = None) -> yolo.FolderReport:
        """Read all labels of a YOLO folder: what it holds, and what is wrong with it."""
        return yolo.inspect_folder(Path(folder), classes)

    def split_dataset(self, folder: str | Path, ratios: Mapping[str, float], seed: int = 0) -> dict[str, list[Path]]:
        """The images of a folder dealt out by ratio; the same folder, ratios and seed give the same split."""
        return yolo.split_folder(Path(folder), ratios, seed)

    def convert_dataset(self, annotations: str | Path, images: str | Path, target: str | Path) -> Path:
        """Turn a COCO detection file and its images into a YOLO folder; the images are linked, not copied."""
        return coco.coco_to_yolo(Path(annotations), Path(images), Path(target))

    def clean_dataset_cache(self, max_gb: float | None = None) -> list[str]:
        """Remove the least recently used datasets until the cache fits DATASET_CACHE_MAX_GB; the keys removed."""
        most = self.environment.dataset_cache_max_gb if max_gb is None else max_gb
        return DatasetCache(self.environment.dataset_cache_dir).clean(most * 1e9)

    def _fetched(self, cache: DatasetCache, key: str, download: SnapshotDownload) -> Path:
        begun, there = time.monotonic(), cache.is_complete(key)
        folder = cache.folder(key) if there else cache.partial(key)
        manifest = Manifest.read(folder / MANIFEST_NAME) if there else download.manifest(folder)
        expected = self.environment.dataset_version_hash
        if expected and manifest.version_hash != expected:
            raise DatasetError(f"the dataset has changed: its hash is {manifest.version_hash}, not {expected}")
        fetched = download.complete(folder, manifest, verify=not there)
        if not there:
            cache.finish(key)
        seconds = time.monotonic() - begun
        self.log("info", f"dataset: {len(manifest.files)} files, {fetched} downloaded in {seconds:.1f} s")
        cache.use(key)
        self.clean_dataset_cache()
        return cache.folder(key)
