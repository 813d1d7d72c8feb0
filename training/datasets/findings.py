"""What an import tells of a dataset beyond its counts: boxes, balance, copies, names, and pictures of what is wrong."""

import unicodedata
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from typing import Any

from training.datasets.copies import Copies, copies_find, leaks
from training.datasets.scan import Offender, Progress, Scan, ScannedImage, label_bytes
from training.datasets.shrinking import image_shrink

GROUPS, IN_GROUP, UNEVEN = 30, 6, 100
SIDE = 320
SMALL, MEDIUM = 32**2, 96**2  # pixels: what COCO's evaluation calls so
SHARES = ((0.001, "under 0.1 %"), (0.01, "0.1 to 1 %"), (0.1, "1 to 10 %"), (0.5, "10 to 50 %"), (2.0, "over 50 %"))
ASPECTS = (
    (0.25, "taller than 1 : 4"),
    (0.67, "1 : 4 to 2 : 3"),
    (1.5, "about square"),
    (4.0, "3 : 2 to 4 : 1"),
    (float("inf"), "wider than 4 : 1"),
)


def findings_add(scan: Scan, progress: Progress | None = None) -> None:
    """Put into `scan.findings` what the report tells besides."""
    names_check(scan)
    copies = copies_find(scan.images, progress)
    scan.findings = {
        "boxes": boxes(scan),
        "uneven": uneven(scan),
        "copies": _copies_told(copies, scan.images),
        "offenders": _offenders(scan),
    }


def names_check(scan: Scan) -> None:
    """Name images whose paths differ only in case: on some machines the one overwrites the other."""
    seen: dict[str, str] = {}
    for image in scan.images:
        folded = unicodedata.normalize("NFC", image.path).casefold()
        earlier = seen.setdefault(folded, image.path)
        if earlier != image.path:
            scan.problems.add(image.path, f"its name differs only in case from {earlier}")


def boxes(scan: Scan) -> dict[str, Any]:
    """How large the objects are, as shares of their image and in pixels, and their shapes; empty without boxes."""
    shares, aspects, sizes = Counter[str](), Counter[str](), Counter[str]()
    for image in scan.images if scan.task_type != "classification" else ():
        for width, height in _sides(image, scan.task_type):
            shares[_bucket(width * height, SHARES)] += 1
            pixels = width * image.width * height * image.height
            sizes["small" if pixels < SMALL else "medium" if pixels < MEDIUM else "large"] += 1
            aspects[_bucket(width * image.width / max(1e-9, height * image.height), ASPECTS)] += 1
    if not shares:
        return {}
    return {
        "shares": [{"name": name, "count": shares[name]} for _, name in SHARES],
        "aspects": [{"name": name, "count": aspects[name]} for _, name in ASPECTS],
        "sizes": {name: sizes[name] for name in ("small", "medium", "large")},
    }


def uneven(scan: Scan) -> list[dict[str, str]]:
    """{"name", "split"}: the classes that other parts of the split have and this one lacks."""
    counts: dict[str, Counter[int]] = {}
    for image in scan.images:
        counts.setdefault(image.split or "all", Counter()).update(image.instances)
    there = [number for number in range(len(scan.classes)) if any(one[number] for one in counts.values())]
    missing = ((number, split) for number in there for split in sorted(counts) if not counts[split][number])
    return [{"name": scan.classes[number], "split": split} for number, split in missing][:UNEVEN]


def _copies_told(found: list[Copies], images: list[ScannedImage]) -> dict[str, Any]:
    groups = [
        {
            "exact": one.exact,
            "leak": leaks(one, images),
            "count": len(one.places),
            "paths": [images[place].path for place in _shown(one, images)],
        }
        for one in found[:GROUPS]
    ]
    exact = sum(one.exact for one in found)
    return {
        "exact": exact,
        "near": len(found) - exact,
        "leaks": sum(leaks(one, images) for one in found),
        "groups": groups,
    }


def _shown(copies: Copies, images: list[ScannedImage]) -> list[int]:
    """Some of a group, of each part of the split the first ones."""
    turns: Counter[str | None] = Counter()
    ordered = []
    for place in copies.places:
        split = images[place].split
        ordered.append((turns[split], place))
        turns[split] += 1
    return [place for _, place in sorted(ordered)[:IN_GROUP]]


def _offenders(scan: Scan) -> list[dict[str, str]]:
    """What is wrong with pictures that were left out; a small JPEG of each goes into `scan.pictures`, in this order."""
    told = []
    for one in scan.problems.offenders:
        small = _small(one)
        if small:
            scan.pictures.append(small)
            told.append({"file": one.file, "text": one.text})
    return told


def _small(offender: Offender) -> bytes:
    """Nothing where the picture itself is what is wrong."""
    try:
        image = image_shrink(offender.source.read_bytes(), SIDE)
    except (ValueError, OSError):
        return b""
    file = BytesIO()
    image.save(file, "JPEG", quality=80)
    return file.getvalue()


def _sides(image: ScannedImage, task: str) -> Iterator[tuple[float, float]]:
    """Width and height of each object, as shares of the image."""
    if image.label_source is None:
        return
    for line in label_bytes(image.label_source).decode("utf-8-sig", "replace").splitlines():
        values = [float(word) for word in line.split()[1:]]
        if len(values) == 4 or task == "pose":
            yield values[2], values[3]
        elif values:
            xs, ys = values[::2], values[1::2]
            yield max(xs) - min(xs), max(ys) - min(ys)


def _bucket(value: float, buckets: tuple[tuple[float, str], ...]) -> str:
    return next((name for most, name in buckets if value < most), buckets[-1][1])
