"""Jobs with journals of a known content, as the platform's own writer commits them."""

import os
import struct
import sys
from collections.abc import Sequence

import django

from observability.benchmarks.rig.points import Row, names, rows

AT_ONCE = 500  # reports in a transaction


def jobs_make(count: int) -> list[int]:
    """Jobs that run, with one attempt each."""
    from training.benchmarks.rig.cast import cast_make

    return [int(client["run"]) for client in cast_make(count)["clients"]]


def tell(job_id: int, metrics: int, told: Sequence[Row]) -> None:
    """Commit these reports to the job's journal."""
    from training.journal.payloads import Metrics
    from training.journal.writer import Append, commit

    listed = names(metrics)
    for at in range(0, len(told), AT_ONCE):
        items = [
            Metrics(None, row.time, row.step, None, listed, struct.pack(f"<{metrics}d", *row.values))
            for row in told[at : at + AT_ONCE]
        ]
        commit([Append(job_id, None, items)])


def main() -> None:
    """The program: jobs that have completed, each with this many reports of this many metrics."""
    jobs, reports, metrics = map(int, sys.argv[1:])
    from django.utils import timezone

    from training.models import JobState, TrainingJob

    made, told = jobs_make(jobs), rows(reports, metrics)
    for job_id in made:
        tell(job_id, metrics, told)
    TrainingJob.objects.filter(pk__in=made).update(state=JobState.COMPLETED, ended_at=timezone.now())


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "platform_site.settings")
    django.setup()
    main()
