"""Snapshots, the worker's cache, parallel and selective downloads, and the conversion of COCO."""

import hashlib
import json
import operator
import os
import random
import shutil
import time
import urllib.request
from argparse import ArgumentParser
from collections.abc import Mapping
from gzip import decompress
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console

from platform_site.processes import environment, python
from training.benchmarks.rig.data_programs import DOWNLOAD, OURS, SNAPSHOT, THEIRS
from training.benchmarks.rig.figures import ratio, shown, table
from training.benchmarks.rig.folder import temporary_folder
from training.benchmarks.rig.processes import free_port, program, server
from training.benchmarks.rig.site import site_without_server

LATENCY = 0.02  # seconds before each answer of the server that is downloaded from
SECONDS = 600.0  # that a program may take
WANTED = {
    "snapshot_seconds": ("<", 5),
    "snapshot_mb": ("<", 10),
    "second_job_seconds": ("<", 1),
    "second_job_bytes": ("<=", 0),
    "parallel_ratio": (">=", 3),
    "unlabelled_fetched": ("<=", 0),
    "coco_command_ratio": (">=", 5),
}


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--files", type=int, default=100_000, help="in the snapshot, half images and half labels")
    parser.add_argument("--downloads", type=int, default=400, help="files that are downloaded each time")
    parser.add_argument("--boxes", type=int, default=100_000, help="that are converted each time")
    parser.add_argument("--pairs", type=int, default=5, help="how often each is measured")


def run(options: Mapping[str, Any], console: Console) -> dict[str, Any]:
    with temporary_folder() as folder:
        console.print(f"a snapshot of {options['files']:,} files …", style="dim")
        taken = snapshot(folder, options)
        console.print("a second job on it …", style="dim")
        figures = {"snapshot_seconds": median(taken["seconds"]), "snapshot_mb": taken["bytes"] / 1e6}
        figures |= second_job(folder, taken, options["pairs"])
        figures |= downloads_compare(folder, options["downloads"], options["pairs"], console)
        figures |= conversions_compare(folder, options["boxes"], options["pairs"], console)
        show(figures, console)  # before all those files are removed, which takes a while
    counts = {"files": taken["files"], "boxes": options["boxes"], "missed": missed(figures, options)}
    return {"databases": ["sqlite"], "pairs": options["pairs"], **figures, **counts}


def show(figures: Mapping[str, float], console: Console) -> None:
    """The table, and what the figures of the conversion mean."""
    made = table("Data", "what", "seen", "wanted")
    for name, value in figures.items():
        how, most = WANTED.get(name, ("", ""))
        made.add_row(name.replace("_", " "), shown(value), f"{how} {most}".strip())
    console.print(made)
    console.print(
        "The conversion is compared as what a person waits for, the whole process; alone, both read the same JSON and "
        "create one file an image, which is most of our time and can't be had faster by the standard library.",
        style="dim",
    )


def missed(figures: Mapping[str, float], options: Mapping[str, Any]) -> list[str]:
    """What is below its promise; a promise holds for the size that it names, so shorter runs only measure."""
    if options["files"] < 100_000 or options["boxes"] < 100_000:
        return []
    fails = {"<": operator.ge, "<=": operator.gt, ">=": operator.lt}
    return [
        f"{name.replace('_', ' ')} is {shown(figures[name])}, wanted {how} {bound}"
        for name, (how, bound) in WANTED.items()
        if fails[how](figures[name], bound)
    ]


def snapshot(folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Take the snapshot some times, of datasets of their own, on a platform of its own."""
    own = site_without_server(folder / "platform", SECONDS)
    command = python("-c", SNAPSHOT, str(options["files"]), str(options["pairs"]))
    found: dict[str, Any] = json.loads(program(command, own, seconds=SECONDS))
    return found


def second_job(folder: Path, taken: Mapping[str, Any], pairs: int) -> dict[str, float]:
    """Seconds until a job's data are ready where another has had them, and the bytes that it downloads."""
    served = folder / "served"
    served.mkdir()
    (served / "manifest.json").write_bytes(decompress(Path(taken["manifest"]).read_bytes()))
    key = f"1_{taken['hash'][:8]}"
    partial = folder / "cache" / f".{key}.partial"
    shutil.copytree(taken["folder"], partial, copy_function=os.link)  # the first job finds all of it there already
    port = free_port()
    seconds = []
    with data_server(folder, served, port):
        job = job_variables(folder, port, taken["hash"])
        download(job, 8, "all")
        before = counts(port)
        seconds = [download(job, 8, "all")["seconds"] for _ in range(pairs)]
        after = counts(port)
    shutil.rmtree(folder / "cache")
    return {"second_job_seconds": median(seconds), "second_job_bytes": after["bytes"] - before["bytes"]}


def downloads_compare(folder: Path, files: int, pairs: int, console: Console) -> dict[str, float]:
    """Eight at a time against one at a time, and a download of what is labelled."""
    served = folder / "small"
    entries = small_snapshot(served / "files", files)
    manifest: dict[str, Any] = {"version_hash": "0" * 64, "format": "yolo", "task_type": "detection", "classes": ["a"]}
    manifest["files"] = entries
    (served / "manifest.json").write_text(json.dumps(manifest))
    port = free_port()
    one: list[float] = []
    eight: list[float] = []
    with data_server(folder, served, port):
        job = job_variables(folder, port, "0" * 64)
        for pair in range(pairs):
            console.print(f"downloads, {pair + 1} of {pairs} …", style="dim")
            for at_once, seen in ((1, one), (8, eight)):
                shutil.rmtree(folder / "cache", ignore_errors=True)
                seen.append(download(job, at_once, "all")["seconds"])
        shutil.rmtree(folder / "cache")
        before = counts(port)["files"]
        labelled = download(job, 8, "labelled")["images"]
        fetched = counts(port)["files"] - before
    wanted = sum(entry["role"] == "label" for entry in entries)
    return {
        "one_at_a_time_seconds": median(one),
        "eight_at_a_time_seconds": median(eight),
        "parallel_ratio": ratio(one, eight),
        "labelled_images": labelled,
        "unlabelled_fetched": fetched - 2 * wanted,
    }


def small_snapshot(folder: Path, files: int) -> list[dict[str, Any]]:
    """Images of 20 kB, every second one with a label, and their entries in a manifest."""
    entries = []
    for number in range(files * 2 // 3):
        for role, ending, size in (("image", "jpg", 20_000), ("label", "txt", 20)):
            if role == "label" and number % 2:
                continue
            path = f"{role}s/train/{number:05d}.{ending}"
            content = random.Random(path).randbytes(size)
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
            sha256 = hashlib.sha256(content).hexdigest() if role == "label" else None
            entries.append({"path": path, "size": size, "sha256": sha256, "role": role, "split": "train"})
    return entries


def conversions_compare(folder: Path, boxes: int, pairs: int, console: Console) -> dict[str, float]:
    """Both convert the same file, in turn, each in a process of its own: all of that process, and the work alone."""
    coco_make(folder / "coco", boxes)
    alone: dict[str, list[float]] = {"ours": [], "theirs": []}
    whole: dict[str, list[float]] = {"ours": [], "theirs": []}
    own = environment(YOLO_CONFIG_DIR=str(folder / "yolo"), YOLO_OFFLINE="true")
    (folder / "yolo").mkdir()
    for pair in range(pairs):
        console.print(f"conversions, {pair + 1} of {pairs} …", style="dim")
        for who, text in (("ours", OURS), ("theirs", THEIRS)):
            made = folder / f"made-{who}-{pair}"
            begun = time.perf_counter()
            said = program(python("-c", text, str(folder / "coco"), str(made)), own, seconds=SECONDS)
            whole[who].append(time.perf_counter() - begun)
            alone[who].append(float(said.split()[-1]))
            shutil.rmtree(made)
    return {
        "coco_ours_seconds": median(whole["ours"]),
        "coco_ultralytics_seconds": median(whole["theirs"]),
        "coco_command_ratio": ratio(whole["theirs"], whole["ours"]),
        "coco_alone_ours_seconds": median(alone["ours"]),
        "coco_alone_ultralytics_seconds": median(alone["theirs"]),
        "coco_alone_ratio": ratio(alone["theirs"], alone["ours"]),
    }


def coco_make(folder: Path, boxes: int) -> None:
    """A COCO file with seven boxes an image, as COCO itself has, and images without content."""
    dice, count = random.Random(1), max(1, boxes // 7)
    images = [{"id": n, "file_name": f"{n:012d}.jpg", "width": 640, "height": 480} for n in range(1, count + 1)]
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    for image in images:
        (folder / "images" / str(image["file_name"])).touch()
    found = [
        {
            "id": n,
            "image_id": n % count + 1,
            "category_id": dice.randint(1, 80),
            "iscrowd": 0,
            "area": 1.0,
            "bbox": [round(dice.uniform(*span), 2) for span in ((0, 500), (0, 400), (5, 120), (5, 70))],
        }
        for n in range(boxes)
    ]
    categories = [{"id": n, "name": f"class {n}"} for n in range(1, 81)]
    whole = {"images": images, "annotations": found, "categories": categories}
    (folder / "annotations" / "instances.json").write_text(json.dumps(whole))


def data_server(folder: Path, served: Path, port: int) -> Any:
    """The server to download from, with its delay."""
    command = python("-m", "training.benchmarks.rig.data_server", str(port), str(served), str(LATENCY))
    return server("the data server", command, environment(), folder, port, "/counts", 30.0)


def job_variables(folder: Path, port: int, version_hash: str) -> dict[str, str]:
    """What the platform gives a trainer (docs/trainer-protocol.md)."""
    own = folder / "trainer"
    shutil.rmtree(own, ignore_errors=True)
    return environment(
        CALLBACK_URL=f"http://127.0.0.1:{port}/callback",
        CALLBACK_TOKEN="benchmark",
        JOB_ID="1",
        WORK_DIR=str(own / "work"),
        SPOOL_DIR=str(own / "spool"),
        SNAPSHOT_ID="1",
        DATASET_VERSION_HASH=version_hash,
        DATASET_CACHE_DIR=str(folder / "cache"),
    )


def download(job: Mapping[str, str], at_once: int, what: str) -> dict[str, Any]:
    """One trainer's download, in a process of its own with a spool of its own."""
    shutil.rmtree(Path(job["SPOOL_DIR"]).parent, ignore_errors=True)
    for name in ("WORK_DIR", "SPOOL_DIR"):
        Path(job[name]).mkdir(parents=True)
    found: dict[str, Any] = json.loads(program(python("-c", DOWNLOAD, str(at_once), what), job, seconds=SECONDS))
    return found


def counts(port: int) -> dict[str, int]:
    """Files and bytes that the server has sent so far."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/counts", timeout=10) as answer:
        said: dict[str, int] = json.loads(answer.read())
    return said
