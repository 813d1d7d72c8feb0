"""The jobs of an experiment side by side: what each reached, and in which settings they differ."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from django.db.models import F, OuterRef, QuerySet, Subquery

from training.jobs.selectors import JobRow, job_rows
from training.models import MetricSummary, TrainingJob
from training.trainers import Trainer, trainers_all

METRICS, DIFFERENCES = 4, 6


@dataclass(frozen=True, slots=True)
class Best:
    """The best value of a metric, and in which epoch it was reached, where that is known."""

    value: float
    epoch: int | None
    leads: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """One job of a table of results: its row, a value per metric of the table, and what sets it apart."""

    row: JobRow
    best: list[Best | None]
    differs: list[tuple[str, Any]]
    metrics: list[str]

    @property
    def named(self) -> list[tuple[Best | None, str]]:
        """Each best value with the metric that it is of."""
        return list(zip(self.best, self.metrics, strict=True))


@dataclass(frozen=True, slots=True)
class Results:
    metrics: list[str]
    rows: list[Result]


def results_of(jobs: Sequence[TrainingJob]) -> Results:
    """What these jobs reached, by a fixed number of queries."""
    trainers = trainers_all()
    primary = [trainers[job.trainer].primary(job.task_type) for job in jobs if job.trainer in trainers]
    names = [name for name, _ in Counter(filter(None, primary)).most_common(METRICS)]
    summaries = _summaries(jobs, names)
    metrics = _columns(names, summaries)
    found = {(one.job_id, one.name): _best(one, trainers.get(job.trainer)) for job, one in _paired(jobs, summaries)}
    leads = {name: _leading(name, found, trainers.values()) for name in metrics}
    varying = _varying(jobs)
    rows = []
    for row in job_rows(jobs):
        best = [_marked(found.get((row.job.pk, name)), leads[name]) for name in metrics]
        rows.append(Result(row, best, [(name, row.job.config.get(name)) for name in varying], metrics))
    return Results(metrics, rows)


def ordered_by_best(jobs: "QuerySet[TrainingJob]") -> "QuerySet[TrainingJob]":
    """Jobs with the best of their trainers' most used primary metric first; those without it last."""
    trainers = trainers_all()
    used = Counter(jobs.order_by().values_list("trainer", flat=True)).most_common()
    trainer = next((trainers[name] for name, _ in used if name in trainers and trainers[name].primary_metric), None)
    if trainer is None:
        return jobs
    best = MetricSummary.objects.filter(job=OuterRef("pk"), name=trainer.primary_metric).values("best")[:1]
    value = F("reached")
    low = direction_of(trainer, trainer.primary_metric) == "min"
    order = value.asc(nulls_last=True) if low else value.desc(nulls_last=True)
    return jobs.annotate(reached=Subquery(best)).order_by(order, "-id")


def direction_of(trainer: Trainer | None, name: str) -> str:
    """Whether "min" or "max" is best for a metric, by the first pattern of the manifest that fits; else nothing."""
    if trainer is None:
        return ""
    if name in trainer.directions:
        return trainer.directions[name]
    return next((way for pattern, way in trainer.directions.items() if fnmatchcase(name, pattern)), "")


def _summaries(jobs: Sequence[TrainingJob], names: list[str]) -> list[MetricSummary]:
    """The summaries of the metrics that stand in one group with the primary ones, such as `metrics/…`."""
    groups = {name.rpartition("/")[0] for name in names}
    rows = MetricSummary.objects.filter(job__in=[job.pk for job in jobs])
    return [row for row in rows.exclude(name__startswith="system/") if row.name.rpartition("/")[0] in groups]


def _columns(names: list[str], summaries: list[MetricSummary]) -> list[str]:
    others = Counter(one.name for one in summaries if one.name not in names)
    return [*names, *(name for name, _ in sorted(others.items(), key=lambda one: (-one[1], one[0])))][:METRICS]


def _paired(jobs: Sequence[TrainingJob], summaries: list[MetricSummary]) -> list[tuple[TrainingJob, MetricSummary]]:
    by_id = {job.pk: job for job in jobs}
    return [(by_id[one.job_id], one) for one in summaries]


def _best(summary: MetricSummary, trainer: Trainer | None) -> Best | None:
    way = direction_of(trainer, summary.name)
    value = summary.best
    if value is None:
        value = {"min": summary.minimum, "max": summary.maximum}.get(way, summary.latest)
    return None if value is None else Best(value, summary.best_epoch)


def _leading(name: str, found: dict[tuple[int, str], Best | None], trainers: Any) -> float | None:
    """The value that leads in a column; None where there is nothing to compare, or nobody says which way is best."""
    values = [best.value for (_, metric), best in found.items() if metric == name and best]
    way = next(filter(None, (direction_of(trainer, name) for trainer in trainers)), "")
    if len(values) < 2 or not way:
        return None
    return max(values) if way == "max" else min(values)


def _marked(best: Best | None, lead: float | None) -> Best | None:
    return best and Best(best.value, best.epoch, best.value == lead)


def _varying(jobs: Sequence[TrainingJob]) -> list[str]:
    """The settings in which these jobs differ, those with the most values first."""
    names = dict.fromkeys(name for job in jobs for name in job.config)
    values = {name: {repr(job.config.get(name)) for job in jobs} for name in names}
    return sorted((name for name in names if len(values[name]) > 1), key=lambda name: -len(values[name]))[:DIFFERENCES]
