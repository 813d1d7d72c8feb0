"""Tries a trained model on one picture: `python -m trainers.ultralytics.predict`, started confined by a worker.

Weights may hold anything, and loading them may run it. So this process is given no secrets, gives up the right to
more memory and time than it was granted before it opens them, and what it writes is checked by whoever reads it.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainers.ultralytics.offline import keep_offline, want_no_font

DONE, FAILED = 0, 1
MOST_OBJECTS, MOST_CORNERS = 300, 200


def main() -> int:
    """Write the result, or `{"error": …}`, as JSON; the exit code tells which."""
    said = arguments()
    confine(said.memory_gb, said.seconds)
    try:
        result, code = prediction(said), DONE
    except MemoryError:
        result, code = {"error": f"The model needs more than the {said.memory_gb:g} GiB of memory it may use."}, FAILED
    except Exception as error:
        no_memory = "can't allocate memory" in str(error) or "not enough memory" in str(error)
        reason = "there was not enough memory" if no_memory else f"{type(error).__name__}: {error}"
        result, code = {"error": f"The model could not be used: {reason}"[:2000]}, FAILED
    said.result.write_text(json.dumps(result), encoding="utf-8")
    return code


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("weights", "picture", "result"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--least", type=float, default=0.05, help="the least score of what is told")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--memory-gb", type=float, default=6.0)
    return parser.parse_args()


def confine(memory_gb: float, seconds: float) -> None:
    """Give up, for good, the right to more. Address space is not limited: torch maps far more than it uses."""
    data, cpu = int(memory_gb * 2**30), int(4 * seconds) + 1
    limits = {resource.RLIMIT_DATA: data, resource.RLIMIT_CPU: cpu, resource.RLIMIT_CORE: 0}
    for kind, most in (limits | {resource.RLIMIT_FSIZE: 64 * 2**20}).items():
        resource.setrlimit(kind, (most, most))


def prediction(said: argparse.Namespace) -> dict[str, Any]:
    """What the model sees: its task, its classes, and objects or scores; places are shares of the picture."""
    keep_offline(Path(tempfile.mkdtemp(dir=said.result.parent)))
    from ultralytics import YOLO

    want_no_font()
    model: Any = YOLO(str(said.weights))
    begun = time.monotonic()
    options = {"imgsz": said.imgsz, "conf": said.least, "max_det": MOST_OBJECTS, "save": False, "verbose": False}
    found = model.predict(str(said.picture), device="cpu", **options)[0].cpu().numpy()
    milliseconds = round(1000 * (time.monotonic() - begun))
    classes = [str(name) for _, name in sorted(model.names.items())]
    told = {"scores": scores(found, said.least)} if found.probs is not None else {"objects": objects(found)}
    return {"task": model.task, "classes": classes, "milliseconds": milliseconds} | told


def scores(found: Any, least: float) -> list[dict[str, float]]:
    """A classifier's answer, the likeliest class first; the likeliest five are told whatever their score."""
    ordered = found.probs.data.argsort()[::-1]
    likely = [number for place, number in enumerate(ordered) if place < 5 or found.probs.data[number] >= least]
    return [{"class": int(number), "score": float(found.probs.data[number])} for number in likely[:20]]


def objects(found: Any) -> list[dict[str, Any]]:
    boxes = found.boxes if found.obb is None else found.obb
    return [
        {"class": int(boxes.cls[place]), "score": float(boxes.conf[place]), **placed(found, place)}
        for place in range(len(boxes))
    ]


def placed(found: Any, place: int) -> dict[str, Any]:
    """Where an object is: the corners of its outline, and its key points with how sure each is."""
    if found.obb is not None:
        return {"outline": found.obb.xyxyxyxyn[place].tolist()}
    left, top, right, bottom = found.boxes.xyxyn[place].tolist()
    corners = [[left, top], [right, top], [right, bottom], [left, bottom]]
    if found.masks is not None and len(found.masks.xyn[place]) > 2:
        return {"outline": thinned(found.masks.xyn[place].tolist()), "box": corners}
    if found.keypoints is None:
        return {"outline": corners}
    sure = (
        [1.0] * found.keypoints.xyn.shape[1] if found.keypoints.conf is None else found.keypoints.conf[place].tolist()
    )
    points = found.keypoints.xyn[place].tolist()
    return {"outline": corners, "points": [[x, y, score] for (x, y), score in zip(points, sure, strict=True)]}


def thinned(corners: Sequence[list[float]]) -> list[list[float]]:
    """At most so many corners, evenly chosen."""
    step = -(-len(corners) // MOST_CORNERS)
    return list(corners[::step])


if __name__ == "__main__":
    sys.exit(main())
