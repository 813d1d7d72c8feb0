"""The dataset of a run: fetched once per worker, checked, and laid out for the framework."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from trainers.sdk import class_folders, coco, yolo
from trainers.sdk.cache import DatasetCache
from trainers.sdk.download import AT_ONCE, SnapshotDownload, missing_files
from trainers.sdk.download_progress import Telling
from trainers.sdk.errors import DatasetError
from trainers.sdk.loglines import Logging
from trainers.sdk.manifest import MANIFEST_NAME, Manifest, SnapshotFile
from trainers.sdk.storage import Storage


class Data(Storage, Logging):
    """Datasets as folders; whatever goes wrong raises DatasetError, StorageError or NetworkError."""

    _only_labelled = False

    def download_dataset(self, *, only_labelled: bool = False, at_once: int = AT_ONCE) -> Path:
        """The folder of this job's snapshot in the worker's cache, whole and verified.

        A snapshot that is there already is not downloaded again, only looked at: files that were touched since they
        were verified are fetched anew. Two jobs at once download it once. With `only_labelled` images without a label
        file are left out, here and in what `create_data_yaml` lists. At most `at_once` files are fetched at a time.
        """
        environment = self.environment
        if not environment.snapshot_id:
            raise DatasetError("this job has no dataset: SNAPSHOT_ID is not set")
        self._only_labelled = only_labelled
        self._cache = cache = DatasetCache(environment.dataset_cache_dir)
        key = f"{environment.snapshot_id}_{environment.dataset_version_hash[:8]}"
        cache.use(key)
        said = partial(self.warn, "dataset: another job is downloading the same one; this one waits for it")
        telling = Telling(lambda news: self._heartbeat.tell({"download": news}), partial(self.log, "info"))
        download = SnapshotDownload(self._signed_get, telling, at_once)
        try:
            with cache.downloading(key, said):
                return self._fetched(cache, key, download)
        finally:
            download.close()

    def create_data_yaml(self, folder: str | Path) -> Path:
        """Write WORK_DIR/data.yaml and a list of images per split, as Ultralytics reads them; the yaml's path."""
        manifest = self._chosen(Manifest.read(Path(folder) / MANIFEST_NAME))
        return yolo.data_yaml(Path(folder), manifest, self.environment.work_dir)

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

    def convert_dataset(
        self, annotations: str | Path, images: str | Path, target: str | Path, task: str = "detect"
    ) -> Path:
        """Turn a COCO file and its images into a YOLO folder for `detect`, `segment` or `pose`; images are linked."""
        return coco.coco_to_yolo(Path(annotations), Path(images), Path(target), task)

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
        chosen = self._chosen(manifest).files
        missing = self._missing(cache, key, manifest, chosen) if there else missing_files(folder, chosen, trusted=True)
        if missing:
            self._room_make(cache, sum(file.size for file in missing))
            download.complete(folder, missing)
        if missing or not there:
            cache.finish(key, folder, manifest.files)
        seconds = time.monotonic() - begun
        self.log("info", f"dataset: {len(chosen)} files, {len(missing)} downloaded in {seconds:.1f} s")
        self.clean_dataset_cache()
        return cache.folder(key)

    def _chosen(self, manifest: Manifest) -> Manifest:
        return manifest.labelled() if self._only_labelled else manifest

    def _missing(
        self, cache: DatasetCache, key: str, manifest: Manifest, chosen: list[SnapshotFile]
    ) -> list[SnapshotFile]:
        """What is to be fetched again of a folder that was whole once."""
        touched = cache.damaged(key, manifest.files)
        if touched is None:
            return missing_files(cache.folder(key), chosen, trusted=True)
        if touched and chosen is not manifest.files:
            wanted = {file.path for file in chosen}
            touched = [file for file in touched if file.path in wanted]
        return missing_files(cache.folder(key), touched, trusted=False)

    def _room_make(self, cache: DatasetCache, size: int) -> None:
        """Remove datasets that nobody uses until this one fits, below the limit and on the disk. Raises OSError."""
        cache.clean(max(0.0, self.environment.dataset_cache_max_gb * 1e9 - size), size)
        free = shutil.disk_usage(cache.root).free
        if free < size:
            sizes = f"{size / 1e9:.2f} GB are to be downloaded and {free / 1e9:.2f} GB are free"
            raise OSError(errno.ENOSPC, f"No space left on device for the dataset: {sizes}", str(cache.root))
