"""A program that writes a short and a long series into a fresh database, rolls them up and times windows of them."""

import json
import math
import struct
import sys
import time
from typing import Any

import django

SHORT = 10_000
SPIKE = 99.0
AT_ONCE = 50_000
ROUNDS = 9
WIDTH = 1000


def series_write(job_id: int, length: int) -> None:
    """A wave with one spike, as the journal's writer stores it; straight into the table, for it is many."""
    from django.db import transaction

    from training.journal.names import names_intern
    from training.journal.rows import Batch, insert
    from training.models import RecordKind

    names = names_intern([("loss",)])[("loss",)]
    for start in range(1, length + 1, AT_ONCE):
        rows = [
            (job_id, n, 1, n, int(RecordKind.METRICS), 1.7e9 + n / 10, n, n // 1000, names, struct.pack("<d", value))
            for n in range(start, min(start + AT_ONCE, length + 1))
            for value in [SPIKE if n == spike_at(length) else math.sin(n / 1000)]
        ]
        with transaction.atomic():
            insert(Batch(records=rows))


def spike_at(length: int) -> int:
    return length * 7 // 9


def windows(length: int) -> dict[str, tuple[float | None, float | None]]:
    """What one looks at: all of it, and the spike from ever nearer."""
    middle = spike_at(length)
    near = {
        name: (middle - length / share, middle + length / share) for name, share in (("1/10", 20), ("1/1000", 2000))
    }
    return {"whole": (None, None), **near, "100 points": (middle - 50, middle + 50)}


def measure(jobs: dict[str, tuple[int, int]]) -> dict[str, Any]:
    """Median milliseconds of each window of each series, in turns, with the JSON that the browser is sent."""
    from training.jobs.series import strict_dumps, window_series
    from training.journal.window import Window

    times: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for label, (job_id, length) in jobs.items():
            for name, (start, end) in windows(length).items():
                began = time.perf_counter()
                series = window_series(job_id, ["loss"], Window("step", start, end), WIDTH)
                strict_dumps(series)
                times.setdefault(f"{label}, {name}", []).append((time.perf_counter() - began) * 1000)
                highest = max(max(block.get("high", block["values"])[0]) for block in series["blocks"])
                if highest != SPIKE:
                    raise SystemExit(f"{label}, {name}: the spike is not in the picture")
    return {name: sorted(found)[len(found) // 2] for name, found in times.items()}


def main(length: int) -> None:
    from training.benchmarks.rig.cast import cast_make
    from training.journal.rollup import rollup_update
    from training.models import TrainingJob

    cast_make(2)
    short, long = TrainingJob.objects.order_by("pk").values_list("pk", flat=True)
    seconds = {}
    for job_id, count in ((short, SHORT), (long, length)):
        began = time.perf_counter()
        series_write(job_id, count)
        written = time.perf_counter()
        rollup_update(job_id)
        seconds = {"write": written - began, "rollup": time.perf_counter() - written}
    sys.stdout.write(json.dumps({"seconds": seconds, "ms": measure({"short": (short, SHORT), "long": (long, length)})}))


if __name__ == "__main__":
    django.setup()
    main(int(sys.argv[1]))
