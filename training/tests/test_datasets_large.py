"""Large data in little memory: annotations are read as a stream, and label lines wait on disk."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from training.datasets.formats.pixels import documents
from training.datasets.formats.pixels.spool import Lines, Spool
from training.datasets.formats.registry import format_find
from training.datasets.scan import DatasetError, label_bytes
from training.tests.datasets_folder import picture, write

IMAGES, OBJECTS, CORNERS = 150, 10_000, 60
PROGRAM = """
import os, resource, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "platform_site.settings")
import django; django.setup()
from pathlib import Path
from training.datasets.formats.registry import format_find
from training.datasets.findings import boxes
folder = Path(sys.argv[1])
found = format_find(folder, sys.argv[2])
import numpy, ijson, PIL.PngImagePlugin
used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[3]), resource.RLIM_INFINITY))
scan = found.scan(folder)
assert boxes(scan)
print(len(scan.images), sum(len(one.instances) for one in scan.images))
"""


def test_annotations_larger_than_the_memory_that_is_allowed(tmp_path: Path) -> None:
    """6 MB of polygons, which are 9 MB of label lines, within 6 MB more than the program has at rest."""
    folder = tmp_path / "한국 data"
    for number in range(IMAGES):
        write(folder, f"images/사진 {number}.png", picture(64 + number % 7, 64))
    name = "annotations.json"
    corners = [20 + (place * 37 % 23) + 0.123456 for place in range(CORNERS)]
    with (folder / name).open("w") as file:
        file.write('{"categories": [{"id": 7, "name": "고양이"}], "images": [')
        sizes = ({"id": n, "file_name": f"사진 {n}.png", "width": 64 + n % 7, "height": 64} for n in range(IMAGES))
        file.write(",".join(json.dumps(one) for one in sizes) + '], "annotations": [')
        for number in range(OBJECTS):  # the images in turn, as the worst file has them
            outline = {"category_id": 7, "bbox": [1, 1, 2, 2], "segmentation": [corners]}
            one = {"id": number, "image_id": number % IMAGES, **outline}
            file.write(("," if number else "") + json.dumps(one))
        file.write("]}")
    assert (folder / name).stat().st_size > 6e6
    command = [sys.executable, "-c", PROGRAM, str(folder), "coco_segment", str(6 << 20)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONMALLOC": "malloc"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.stdout.strip() == f"{IMAGES} {OBJECTS}", done.stderr[-2000:] + done.stdout


def test_an_object_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "OBJECT_BYTES", 1_000_000)
    write(tmp_path, "images/a.png", picture())
    whole = {
        "categories": [{"id": 1, "name": "a"}],
        "images": [{"id": 1, "file_name": "a.png", "width": 20, "height": 16}],
        "annotations": [{"image_id": 1, "category_id": 1, "segmentation": [[1.5] * 400_000], "bbox": [1, 1, 2, 2]}],
    }
    write(tmp_path, "annotations.json", json.dumps(whole))
    with pytest.raises(DatasetError, match="an object in it is larger"):
        format_find(tmp_path, "coco_segment").scan(tmp_path)


def test_lines_of_many_images_come_back_each_to_its_own() -> None:
    spool = Spool()
    images = [Lines(spool) for _ in range(5)]
    for number in range(100):
        images[number * number % 5].add(f"{number} 고양이")
        images[number % 5].add(f"{number} again")
    for place, one in enumerate(images):
        wanted = [
            line
            for number in range(100)
            for line, owner in ((f"{number} 고양이", number * number % 5), (f"{number} again", number % 5))
            if owner == place
        ]
        assert label_bytes(one.content).decode().splitlines() == wanted
