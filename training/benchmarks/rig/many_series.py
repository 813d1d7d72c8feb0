"""A program that gives a job many series, and tells what it costs to roll up another's reports."""

import json
import math
import struct
import sys
import time

import django

METRICS = 10
BATCH = 100  # reports in one transaction
BLOCKS = 10


def series_fill(job_id: int, series: int, reports: int) -> None:
    """`reports` of `series` metrics each."""
    from training.journal.payloads import Metrics
    from training.journal.writer import Append, commit

    names = tuple(f"group{number % 20}/metric {number}" for number in range(series))
    for step in range(reports):
        packed = struct.pack(f"<{series}d", *(math.sin(step / 50 + number) for number in range(series)))
        commit([Append(job_id, 1, [Metrics(step + 1, time.time(), step, step // 50, names, packed)])])


def rollup_ms(job_id: int) -> float:
    """Milliseconds of processor time for rolling up one report of ten metrics, in blocks as they come."""
    from training.journal.payloads import Metrics
    from training.journal.rollup import BLOCK, rollup_update
    from training.journal.writer import Append, commit

    names = tuple(f"train/metric_{number}" for number in range(METRICS))
    values = struct.pack(f"<{METRICS}d", *range(METRICS))
    spent, step = 0.0, 0
    for block in range(1, BLOCKS + 1):
        while step < block * BLOCK:
            items = [Metrics(n + 1, 1.7e9 + n, n, 1, names, values) for n in range(step, step + BATCH)]
            commit([Append(job_id, 1, items)])
            step += BATCH
        begun = time.process_time()
        rollup_update(job_id)
        spent += time.process_time() - begun
    return 1000 * spent / (BLOCKS * BLOCK)


if __name__ == "__main__":
    django.setup()
    many, plain, count, reported = (int(word) for word in sys.argv[1:5])
    series_fill(many, count, reported)
    sys.stdout.write(json.dumps({"rollup_ms": rollup_ms(plain)}))
