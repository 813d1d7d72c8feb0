"""What a benchmark of data runs in processes of their own: texts, as trainers are programs that we never import."""

# Make a dataset of FILES small files in the external store and take its snapshot: seconds, and bytes that it stores.
SNAPSHOT = """
import hashlib, json, sys, time
import django
django.setup()
from training.datasets.digests import digests_keep
from training.datasets.snapshot import snapshot_take
from training.models import Dataset, Organization
from training.storage.store import external_store, internal_store
count, repeats = int(sys.argv[1]), int(sys.argv[2])
folder = external_store().root / "datasets" / "many"
for part in ("images/train", "images/val", "labels/train", "labels/val"):
    (folder / part).mkdir(parents=True)
split, digests = {"images/train": "train", "images/val": "val"}, {}
for number in range(count // 2):
    part = "val" if number % 5 == 0 else "train"
    (folder / f"images/{part}/{number:06d}.jpg").write_bytes(b"%09d" % number)
    digests[f"images/{part}/{number:06d}.jpg"] = hashlib.sha256(b"%09d" % number).digest()
    (folder / f"labels/{part}/{number:06d}.txt").write_bytes(b"%d 0.5 0.5 0.%06d 0.2\\n" % (number % 9, number))
(folder / "data.yaml").write_bytes(b"names: []\\n")
digests_keep("datasets/many", digests)  # as an import does
organization = Organization.objects.create(name="Benchmark", slug="benchmark")
seconds = []
for turn in range(repeats):
    dataset = Dataset.objects.create(organization=organization, name=f"Many {turn}", format="yolo",
        task_type="detection", prefix="datasets/many", classes=["a"] * 9, split=split)
    begun = time.perf_counter()
    snapshot = snapshot_take(dataset)
    seconds.append(time.perf_counter() - begun)
stored = internal_store().stat(snapshot.manifest_key).size
print(json.dumps({"seconds": seconds, "files": snapshot.file_count, "bytes": stored, "folder": str(folder),
    "manifest": str(internal_store().root / snapshot.manifest_key), "hash": snapshot.version_hash}))
"""

# One trainer's download: seconds until its folder is ready.
DOWNLOAD = """
import json, sys, time
from trainers.sdk import TrainerSDK
with TrainerSDK() as sdk:
    begun = time.perf_counter()
    folder = sdk.download_dataset(only_labelled=sys.argv[2] == "labelled", at_once=int(sys.argv[1]))
    seconds = time.perf_counter() - begun
    images = sum(1 for path in folder.rglob("*.jpg"))
print(json.dumps({"seconds": seconds, "images": images}))
"""

# COCO to YOLO, by us and by Ultralytics: seconds of the conversion alone.
OURS = """
import sys, time
from pathlib import Path
from trainers.sdk.coco import coco_to_yolo
begun = time.perf_counter()
coco_to_yolo(Path(sys.argv[1]) / "annotations" / "instances.json", Path(sys.argv[1]) / "images", Path(sys.argv[2]))
print(time.perf_counter() - begun)
"""
THEIRS = """
import sys, time
from ultralytics.data.converter import convert_coco
begun = time.perf_counter()
convert_coco(sys.argv[1] + "/annotations", sys.argv[2], cls91to80=False)
print(time.perf_counter() - begun)
"""
