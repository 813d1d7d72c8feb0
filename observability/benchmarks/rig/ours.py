"""A program that delivers jobs to one backend, and prints how long each took.

A run begins with one report, so that the experiment is there before the clock starts.
"""

import os
import sys
import time
from typing import TYPE_CHECKING

import django

from observability.benchmarks.rig.points import names, rows

if TYPE_CHECKING:
    from observability.lanes import Lane


def main() -> None:
    """For each line of standard input: a job is told of, delivered, and the seconds written to standard output."""
    backend, reports, metrics = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    from observability import ledger
    from observability.benchmarks.rig.journal import jobs_make, tell
    from observability.lanes import Lane
    from observability.registry import configured

    lane, told = Lane(configured()[backend]), rows(reports + 1, metrics)
    (experiment,) = jobs_make(1)
    jobs = iter([experiment])
    for _ in sys.stdin:
        job_id = next(jobs, None) or job_beside(experiment)
        tell(job_id, metrics, told[:1])
        ledger.backfill([job_id], backend)
        drain(lane, job_id)
        tell(job_id, metrics, told[1:])
        begun = time.perf_counter()
        drain(lane, job_id)
        seconds = time.perf_counter() - begun
        arrived_check(lane, job_id, metrics, len(told))
        sys.stdout.write(f"{seconds}\n")
        sys.stdout.flush()
    lane.close()


def job_beside(job_id: int) -> int:
    """Another running job of the same experiment."""
    from training.models import TrainingJob

    job = TrainingJob.objects.get(pk=job_id)
    job.pk = None
    job.save()
    return int(job.pk)


def drain(lane: "Lane", job_id: int) -> None:
    while lane.serve([job_id]):
        if lane.last_error:
            sys.exit(lane.last_error)


def arrived_check(lane: "Lane", job_id: int, metrics: int, reports: int) -> None:
    """End the program unless the backend, asked through the adapter, has every step of every metric once."""
    from observability.calls import caller_of
    from observability.models import Delivery

    experiment = Delivery.objects.get(job=job_id, backend=lane.found.name).experiment_id
    caller = caller_of(lane.found)
    there = caller.call("get_metrics", [experiment, names(metrics)], {}, lambda: None)
    caller.close()
    steps = list(range(1, reports + 1))
    if wrong := [name for name, points in there.items() if [step for step, _, _ in points] != steps]:
        sys.exit(f"{lane.found.name} does not have {wrong} of job {job_id} as they were sent")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "platform_site.settings")
    django.setup()
    main()
