"""What the tests of imports share: running the command, and reading what a job's journal then holds."""

import json
import struct
from io import StringIO
from pathlib import Path
from typing import Any

from django.core.management import CommandError, call_command

from training.journal.reader import records_after
from training.models import RecordKind, TrainingJob

Points = dict[str, list[tuple[int | None, float, float]]]
TIME = 1_760_000_000.0
NAMES = ("train/box_loss", "metrics/mAP50-95(B)", "손실/훈련", "lr", "x" * 255)
VALUES = (0.5, float("nan"), float("inf"), float("-inf"), -0.0, 1e-300, 0.1)


def run(*arguments: str | Path) -> dict[str, Any]:
    """What `import_runs … --json` says."""
    out = StringIO()
    common = ("--organization", "ours", "--user", "owner", "--json")
    try:
        call_command("import_runs", arguments[0], *common, *map(str, arguments[1:]), stdout=out, stderr=StringIO())
    except CommandError as error:
        if not out.getvalue():
            raise
        assert "could not be imported" in str(error)
    return dict(json.loads(out.getvalue()))


def only(told: dict[str, Any]) -> dict[str, Any]:
    (one,) = told["runs"]
    return dict(one)


def job_of(told: dict[str, Any]) -> TrainingJob:
    return TrainingJob.objects.select_related("experiment__project", "imported").get(pk=only(told)["job"])


def points_of(job: TrainingJob) -> Points:
    """(step, time, value) of each point by name, in the journal's order."""
    points: Points = {}
    after = 0
    while records := records_after(job.pk, after, 5000):
        after = records[-1].seq
        for record in records:
            if record.kind == RecordKind.METRICS:
                for name, value in zip(record.names, record.values, strict=True):
                    points.setdefault(name, []).append((record.step, record.time, value))
    return points


def exact(points: Points) -> dict[str, list[tuple[int | None, float, bytes]]]:
    """The same with values as their bytes: NaN equals NaN, and -0.0 is not 0.0."""
    return {
        name: [(step, time, struct.pack("<d", value)) for step, time, value in rows] for name, rows in points.items()
    }


def events_of(job: TrainingJob) -> list[dict[str, Any]]:
    return [record.event for record in records_after(job.pk, 0, kinds=[RecordKind.EVENT]) if record.event]
