"""A million tiny files in an archive, and an annotation file of 500 MB: memory and time of their imports."""

import json
import os
import random
import struct
import subprocess
import time
import zipfile
import zlib
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from rich.console import Console

from platform_site.processes import python
from training.benchmarks.rig import BenchmarkError
from training.benchmarks.rig.figures import shown, table
from training.benchmarks.rig.folder import temporary_folder
from training.benchmarks.rig.processes import program
from training.benchmarks.rig.site import site_without_server

SECONDS = 600.0  # that a preparation may take
SIDE = 10  # pixels: the least that an import takes
CORNERS = 30
ORGANIZATION = """
import django
django.setup()
from training.models import Organization
Organization.objects.create(name="Benchmark", slug="benchmark")
"""
WANTED = {"annotations_peak_mb": 512.0, "refusal_seconds": 30.0}  # at most


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--files", type=int, default=1_000_000, help="in the archive, half images and half labels")
    parser.add_argument("--megabytes", type=int, default=500, help="of the annotation file")
    parser.add_argument("--images", type=int, default=5_000, help="that the annotation file is about")


def run(options: Mapping[str, Any], console: Console) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    with temporary_folder() as folder:
        own = site_without_server(folder / "platform", SECONDS)
        program(python("-c", ORGANIZATION), own)
        console.print(f"an archive of {options['files']:,} files …", style="dim")
        archive = archive_make(folder / "many.zip", options["files"])
        console.print("it is refused where it has one entry more than is taken …", style="dim")
        said = imported(own, archive, files=options["files"], refused=True)
        figures |= {"refusal_seconds": said["seconds"], "refusal_peak_mb": said["peak_mb"]}
        console.print("it is imported …", style="dim")
        figures |= told("files", imported(own, archive, files=options["files"] + 1), "images")
        archive.unlink()
        console.print(f"an annotation file of {options['megabytes']} MB …", style="dim")
        coco = annotations_make(folder / "coco", options["megabytes"], options["images"])
        said = imported(own, coco, "--task", "segmentation", files=options["files"])
        figures |= told("annotations", said, "instances")
        show(figures, console)
    sizes = {name: options[name] for name in ("files", "megabytes")}
    return {"databases": ["sqlite"], "pairs": 1, **sizes, **figures, "missed": missed(figures, options)}


def told(what: str, said: Mapping[str, Any], counted: str) -> dict[str, Any]:
    names = ("seconds", "processor_seconds", "peak_mb", counted)
    return {f"{what}_{name}": said[name] for name in names}


def missed(figures: Mapping[str, float], options: Mapping[str, Any]) -> list[str]:
    """What is above its promise; a promise holds for the sizes that it names, so shorter runs only measure."""
    if options["files"] < 1_000_000 or options["megabytes"] < 500:
        return []
    high = [(name, most) for name, most in WANTED.items() if figures[name] > most]
    return [f"{name.replace('_', ' ')} is {shown(figures[name])}, wanted at most {most:g}" for name, most in high]


def show(figures: Mapping[str, float], console: Console) -> None:
    made = table("Imports of large data", "what", "seen", "wanted")
    for name, value in figures.items():
        made.add_row(name.replace("_", " "), shown(value), f"<= {WANTED[name]:g}" if name in WANTED else "")
    console.print(made)


def imported(own: Mapping[str, str], source: Path, *more: str, files: int, refused: bool = False) -> dict[str, Any]:
    """Import `source` by the command in a process of its own: what it said, its seconds and its peak memory in MB."""
    variables = {**own, "IMPORT_MAX_FILES": str(files)}
    said, errors = source.parent / "said", source.parent / "errors"
    names = ("--name", source.name, "--organization", "benchmark", "--json")
    command = python("manage.py", "import_dataset", str(source), *names, *more)
    begun = time.perf_counter()
    with said.open("wb") as out, errors.open("wb") as err:
        process = subprocess.Popen(command, env=variables, cwd=settings.BASE_DIR, stdout=out, stderr=err)
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:  # interrupted: it must not go on alone
            process.kill()
            process.wait()
            raise
    seconds = time.perf_counter() - begun
    report: dict[str, Any] = json.loads(said.read_text() or "{}")
    code = process.returncode = os.waitstatus_to_exitcode(status)
    if bool(code) != refused:
        raise BenchmarkError(f"The import ended with {code}: {report.get('error') or errors.read_text()[-2000:]}")
    own_seconds = used.ru_utime + used.ru_stime
    return report | {"seconds": seconds, "processor_seconds": own_seconds, "peak_mb": used.ru_maxrss * 1024 / 1e6}


def archive_make(archive: Path, files: int) -> Path:
    """A YOLO folder as a zip: small pictures of noise, each with a label of one box, and data.yaml besides."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
        packed.writestr("data.yaml", "train: images/train\nval: images/val\nnames: [a, b, c]\n")
        for number in range(files // 2):
            place = f"{'val' if number % 5 == 0 else 'train'}/{number // 1000:04d}/{number:07d}"
            packed.writestr(f"images/{place}.png", picture(number))
            packed.writestr(f"labels/{place}.txt", f"{number % 3} 0.5 0.5 0.{number % 899_999 + 100_000} 0.5\n")
    return archive


def annotations_make(folder: Path, megabytes: int, images: int) -> Path:
    """A COCO folder with outlines in any order, so many bytes of them."""
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    dice = random.Random(1)
    rows = [{"id": n, "file_name": f"{n:06d}.png", "width": SIDE, "height": SIDE} for n in range(images)]
    for row in rows:
        (folder / "images" / str(row["file_name"])).write_bytes(picture(int(str(row["id"]))))
    outlines = [[round(dice.uniform(0, SIDE), 6) for _ in range(2 * CORNERS)] for _ in range(500)]
    with (folder / "annotations" / "instances.json").open("w") as file:
        file.write('{"categories": [{"id": 1, "name": "a"}, {"id": 7, "name": "b"}], ')
        file.write(f'"images": {json.dumps(rows)}, "annotations": [')
        number = 0
        while file.tell() < megabytes * 10**6:
            shape = {"bbox": [1, 1, 5, 5], "area": 25.0, "iscrowd": 0, "segmentation": [outlines[number % 500]]}
            one = {"id": number, "image_id": number * 7919 % images, "category_id": 1 + number % 2 * 6, **shape}
            file.write(("," if number else "") + json.dumps(one))
            number += 1
        file.write("]}")
    return folder


def picture(number: int) -> bytes:
    """A grey PNG of noise, another one for each number."""
    noise = random.Random(number).randbytes(SIDE * SIDE)
    rows = b"".join(b"\0" + noise[start : start + SIDE] for start in range(0, len(noise), SIDE))
    parts = (
        (b"IHDR", struct.pack(">2L5B", SIDE, SIDE, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, 1)),
        (b"IEND", b""),
    )
    chunks = (
        struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
