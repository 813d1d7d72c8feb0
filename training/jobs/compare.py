"""Some jobs side by side: their settings and environment, and the best and last of their metrics."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models.functions import Coalesce
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import override

from training.jobs.selectors import jobs_visible
from training.models import JobAttempt, JobState, MetricSummary, TrainingJob, User
from training.tables import csv_parts

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

FEWEST, MOST = 2, 50
SHOWN_METRICS = 200


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that jobs have, with each job's value in the order of the jobs; None where it has none."""

    name: "_StrOrPromise"
    values: list[Any]

    @property
    def equal(self) -> bool:
        return all(value == self.values[0] for value in self.values)


@dataclass(frozen=True, slots=True)
class Comparison:
    jobs: list[TrainingJob]
    settings: list[Row]
    environment: list[Row]
    best: list[Row]
    latest: list[Row]

    @property
    def metrics(self) -> list[tuple[Row, Row]]:
        """Each metric's best and last values."""
        return list(zip(self.best, self.latest, strict=True))

    @property
    def metric_names(self) -> list[str]:
        return [str(row.name) for row in self.best]


def jobs_named(user: User, ids: Sequence[int]) -> list[TrainingJob] | None:
    """The jobs in the order in which they were named; None if the person may not see one of them."""
    found: dict[int, TrainingJob] = {job.pk: job for job in jobs_visible(user).filter(pk__in=ids)}
    return [found[pk] for pk in ids] if len(found) == len(set(ids)) else None


def jobs_compare(jobs: list[TrainingJob]) -> Comparison:
    """What of the jobs is alike and what is not, by a fixed number of queries."""
    names = sorted({name for job in jobs for name in job.config})
    settings = [Row(name, [job.config.get(name) for job in jobs]) for name in names]
    best, latest = _metrics(jobs)
    return Comparison(jobs, settings, _environment(jobs), best, latest)


def compare_csv(comparison: Comparison) -> Iterator[str]:
    """A line per job: its settings, its environment, the best and last of its metrics."""
    parts = {"setting": comparison.settings, "": comparison.environment}
    parts |= {"best": comparison.best, "last": comparison.latest}
    with override("en"):  # a file is the same in every language
        columns = [
            (f"{kind} {row.name}".strip(), list(map(_plain, row.values)))
            for kind, rows in parts.items()
            for row in rows
        ]
    header = ["job", "name", "state", *(name for name, _ in columns)]
    jobs = enumerate(comparison.jobs)
    return csv_parts(header, ([job.pk, job.name, job.state, *(of[i] for _, of in columns)] for i, job in jobs))


def _environment(jobs: list[TrainingJob]) -> list[Row]:
    newest = {one.job_id: one for one in JobAttempt.objects.filter(job__in=jobs).order_by("number")}
    attempts = [newest.get(job.pk) for job in jobs]
    return [
        Row(_("state"), [JobState(job.state).label for job in jobs]),
        Row(_("trainer"), [job.trainer for job in jobs]),
        Row(_("model"), [job.model_name for job in jobs]),
        Row(_("dataset"), [job.dataset.name if job.dataset else None for job in jobs]),
        Row(_("snapshot"), [job.snapshot_id for job in jobs]),
        Row(_("device"), [one.device or None if one else None for one in attempts]),
        Row("SDK", [one.sdk_version or None if one else None for one in attempts]),
        Row(_("attempts"), [job.attempt for job in jobs]),
    ]


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Promise) else value


def _metrics(jobs: list[TrainingJob]) -> tuple[list[Row], list[Row]]:
    summaries = MetricSummary.objects.filter(job__in=jobs).exclude(name__startswith="system/")
    found = {(job, name): (best, latest) for job, name, best, latest in summaries.values_list(
        "job", "name", Coalesce("best", "latest"), "latest")}  # fmt: skip
    names = sorted({name for _, name in found}, key=lambda name: (not name.startswith("metrics/"), name))[
        :SHOWN_METRICS
    ]
    rows = [Row(name, [found.get((job.pk, name), (None, None)) for job in jobs]) for name in names]
    sides = ([Row(row.name, [pair[side] for pair in row.values]) for row in rows] for side in (0, 1))
    best, latest = sides
    return best, latest
