"""The table of jobs: filtered, in order, a page at a time; the same cost with ten jobs and with ten thousand."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import F, FloatField, Func, OrderBy, OuterRef, Q, Subquery
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import Coalesce, Lower, Now

from training.jobs.selectors import JobRow, job_rows, jobs_kept, jobs_visible
from training.jobs.table_query import COMPARISONS, Column, Condition, TableQuery
from training.models import Experiment, JobTag, MetricSummary, Project, TrainingJob, User
from training.models.visibility import OrganizationQuerySet
from training.trainers import trainers_all


class TimeBetween(Func):
    """The time from the second moment to the first, for sorting: Django's own difference calls Python on SQLite."""

    output_field = FloatField()
    arity = 2
    template = "EXTRACT(EPOCH FROM %(expressions)s)"
    arg_joiner = " - "

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        days = {"template": "julianday(%(expressions)s)", "arg_joiner": ") - julianday("}
        return self.as_sql(compiler, connection, **days, **context)


PAGE = 50
OFFERED = 200  # entries of one choice
VALUE = Coalesce("best", "latest")
ORDERS: dict[str, Any] = {
    "created": F("created_at"),
    "name": Lower("name"),
    "state": F("state"),
    "project": F("experiment__project__name"),
    "trainer": F("trainer"),
    "dataset": F("dataset__name"),
    "person": F("created_by__username"),
    "started": F("started_at"),
    "ended": F("ended_at"),
    "duration": TimeBetween(Coalesce("ended_at", Now()), "started_at"),
}


@dataclass(frozen=True, slots=True)
class TableRow:
    """One job with its tags, and the values of the columns of choice in their order."""

    row: JobRow
    tags: list[str]
    values: list[Any]

    @property
    def job(self) -> TrainingJob:
        return self.row.job


@dataclass(frozen=True, slots=True)
class TablePage:
    """A page of the table. `number` is the page that there is, where the address asked for one past the end."""

    rows: list[TableRow]
    total: int
    number: int

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // PAGE))

    @property
    def first(self) -> int:
        return (self.number - 1) * PAGE + 1

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1


@dataclass(frozen=True, slots=True)
class Choices:
    """What the filters offer to one person."""

    projects: list[tuple[int, str]]
    experiments: list[tuple[int, str]]
    people: list[str]
    tags: list[str]
    trainers: list[str]


def jobs_matching(user: User, query: TableQuery) -> OrganizationQuerySet:
    """The jobs that a person may see and that pass the filters, in no order."""
    deleted = query.shown == "deleted"
    jobs = jobs_kept(user).filter(deleted_at__isnull=False) if deleted else jobs_visible(user)
    exact = {
        "state__in": query.states,
        "trainer": query.trainer,
        "experiment__project": query.project,
        "experiment": query.experiment,
        "created_by__username": query.person,
    }
    jobs = jobs.filter(**{field: value for field, value in exact.items() if value})
    if query.shown in ("", "archived"):
        jobs = jobs.filter(archived_at__isnull=query.shown == "")
    if query.tag:
        jobs = jobs.filter(pk__in=JobTag.objects.visible_to(user).filter(name=query.tag).values("job"))
    if query.text:
        jobs = jobs.filter(_text(query.text))
    for number, condition in enumerate(query.conditions):
        jobs = _where(jobs, condition, f"condition_{number}")
    return jobs.order_by()


def table_page(user: User, query: TableQuery) -> TablePage:
    """The page that the query asks for, or the last one if there are fewer."""
    jobs = jobs_matching(user, query)
    total = jobs.count()
    number = min(query.page, max(1, -(-total // PAGE)))
    ids = list(_ordered(jobs, query)[(number - 1) * PAGE : number * PAGE])
    return TablePage(table_rows(ids, query.columns), total, number)


def table_rows(ids: Sequence[int], columns: Sequence[Column]) -> list[TableRow]:
    """The rows of these jobs, in this order, by a fixed number of queries. Who may see them has been checked."""
    related = "experiment__project", "dataset", "created_by"
    found = TrainingJob.objects.select_related(*related).prefetch_related("tags").in_bulk(ids)
    jobs = [found[pk] for pk in ids if pk in found]
    metrics = _metric_values(list(found), [column.name for column in columns if column.kind == "metric"])
    return [
        TableRow(
            row,
            [tag.name for tag in row.job.tags.all()],
            [_value(row.job, column, metrics) for column in columns],
        )
        for row in job_rows(jobs)
    ]


def table_chunks(user: User, query: TableQuery, size: int = 500) -> Iterator[list[TableRow]]:
    """All rows that match, in order, some at a time."""
    ids = list(_ordered(jobs_matching(user, query), query))
    for start in range(0, len(ids), size):
        yield table_rows(ids[start : start + size], query.columns)


def table_choices(user: User, query: TableQuery) -> Choices:
    """What there is to filter by; the experiments of the chosen project only."""
    projects = Project.objects.visible_to(user).order_by("name").values_list("pk", "name")
    experiments = Experiment.objects.visible_to(user).filter(project=query.project or 0).order_by("name")
    people = User.objects.filter(memberships__organization__in=user.memberships.values("organization"))
    tags = JobTag.objects.kept_for(user).order_by("name").values_list("name", flat=True).distinct()
    return Choices(
        list(projects[:OFFERED]),
        list(experiments.values_list("pk", "name")[:OFFERED]),
        list(people.order_by("username").values_list("username", flat=True).distinct()[:OFFERED]),
        list(tags[:OFFERED]),
        sorted(trainers_all()),
    )


def columns_offered(rows: Sequence[TableRow], chosen: Sequence[Column]) -> list[Column]:
    """Columns to choose: those that are chosen, and the metrics and settings of the rows that are shown."""
    ids = [one.job.pk for one in rows]
    metrics = MetricSummary.objects.filter(job__in=ids).exclude(name__startswith="system/").order_by("name")
    names = metrics.values_list("name", flat=True).distinct()[:OFFERED] if ids else ()
    settings = sorted({name for one in rows for name in one.job.config})
    offered = [*(Column("metric", name) for name in names), *(Column("setting", name) for name in settings)]
    return list(dict.fromkeys([*chosen, *offered]))


def _text(text: str) -> Q:
    found = Q(name__icontains=text) | Q(model_name__icontains=text) | Q(error_message__icontains=text)
    number = text.removeprefix("#")
    if number.isascii() and number.isdigit() and len(number) < 19:
        found |= Q(pk=int(number))
    return found


def _where(jobs: OrganizationQuerySet, condition: Condition, alias: str) -> OrganizationQuerySet:
    lookup = {f"{alias}__{COMPARISONS[condition.sign]}": condition.value}
    return jobs.alias(**{alias: _of_column(condition.column)}).filter(**lookup)


def _of_column(column: Column) -> Any:
    """A column's value as an expression."""
    if column.kind == "setting":
        return KeyTransform(column.name, "config")
    summaries = MetricSummary.objects.filter(job=OuterRef("pk"), name=column.name)
    return Subquery(summaries.values(value=VALUE)[:1], output_field=FloatField())


def _ordered(jobs: OrganizationQuerySet, query: TableQuery) -> Any:
    """The ids in the query's order; what has no value comes last either way, and equal ones newest first."""
    key, down = query.sort.removeprefix("-"), query.sort.startswith("-")
    if key == "created":
        return jobs.order_by(*(("-created_at", "-id") if down else ("created_at", "id"))).values_list("pk", flat=True)
    by = ORDERS.get(key)
    if by is None:
        by = _of_column(next(column for column in query.columns if column.key == key))
    return jobs.order_by(OrderBy(by, descending=down, nulls_last=True), "-id").values_list("pk", flat=True)


def _metric_values(ids: list[int], names: list[str]) -> dict[tuple[int, str], float]:
    if not names or not ids:
        return {}
    summaries = MetricSummary.objects.filter(job__in=ids, name__in=names)
    return {(job, name): value for job, name, value in summaries.values_list("job", "name", VALUE)}


def _value(job: TrainingJob, column: Column, metrics: dict[tuple[int, str], float]) -> Any:
    return job.config.get(column.name) if column.kind == "setting" else metrics.get((job.pk, column.name))
