"""How a run becomes a job: read whole into a spool, then stored report by report, then ended."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from observability.imports.base import CANCELLED, UNFINISHED, NothingToImport, RunFacts, Source, SourceError
from observability.imports.spool import Spool
from observability.models import Delivery
from observability.summary import summary_update
from training.jobs.imports import Origin, PastRun, import_add, import_close, import_find, import_open, import_reached
from training.journal.checks import clean_text
from training.journal.payloads import Metrics
from training.models import JobState, Organization, TrainingJob, User
from training.projects.services import experiment_named

RECORDS, POINTS = 1000, 20_000  # at most so many in one transaction
LARGEST_NAME = 120
TOLD_ARTIFACTS, NAMED = 200, 5
Told = Callable[[int, int], None]  # points stored of points read


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose the jobs are to be, where they belong and who else hears of them."""

    user: User
    organization: Organization
    project: str = ""  # of the run's own name where empty
    experiment: str = ""
    backends: Sequence[str] = ("database",)
    unfinished: bool = False  # also what the source says still runs
    dry_run: bool = False


@dataclass(slots=True)
class Outcome:
    """What became of a run: imported, continued, skipped or failed; would_import where it was only tried."""

    run: str
    what: str
    job: int | None = None
    reason: str = ""
    name: str = ""
    points: int = 0
    records: int = 0
    troubles: list[str] = field(default_factory=list)


def run_import(source: Source, run: str, wanted: Wanted, told: Told) -> Outcome:
    """Make the run's job, or go on with it. Whatever is wrong with the run is told in the outcome.

    Raises OperationalError or ImportRefused, for what is wrong with the platform.
    """
    known = import_find(wanted.organization, Origin(source.name, run, ""))
    if known is not None and known.state != JobState.DRAFT:
        return Outcome(run, "skipped", known.pk, f"is job {known.pk} already", known.name)
    if own := Delivery.objects.filter(backend=source.name, experiment_id=source.experiment_id(run)).first():
        return Outcome(run, "skipped", own.job_id, f"was sent there by this platform: it is job {own.job_id}")
    with Spool() as spool:
        try:
            facts = source.read(run, spool)
        except NothingToImport as nothing:
            return Outcome(run, "skipped", reason=str(nothing), troubles=spool.troubles())
        except SourceError as error:
            return Outcome(run, "failed", reason=str(error), troubles=spool.troubles())
        except (OSError, ValueError, ArithmeticError, LookupError, AttributeError, TypeError) as error:
            reason = f"{type(error).__name__}: {error}"[:1000]
            return Outcome(run, "failed", reason=reason, troubles=spool.troubles())
        return _outcome(source, run, facts, spool, wanted, told, known)


def _outcome(
    source: Source,
    run: str,
    facts: RunFacts,
    spool: Spool,
    wanted: Wanted,
    told: Told,
    known: TrainingJob | None,
) -> Outcome:
    outcome = Outcome(run, "would_import" if wanted.dry_run else "imported", name=facts.name, points=spool.points)
    if facts.status == UNFINISHED and not wanted.unfinished:
        outcome.what, outcome.reason = "skipped", f"has not ended in {source.label}; --unfinished takes it as it is"
    elif wanted.dry_run:
        outcome.job = known.pk if known else None
    else:
        outcome.what = "continued" if known else "imported"
        job = _store(source, run, facts, spool, wanted, told)
        outcome.job, outcome.records = job.pk, import_reached(job)
    outcome.troubles = spool.troubles()
    return outcome


def _store(source: Source, run: str, facts: RunFacts, spool: Spool, wanted: Wanted, told: Told) -> TrainingJob:
    started, ended = _span(facts, spool)
    past = _past(source, run, facts, spool, started, ended)
    origin = Origin(source.name, run, facts.address)
    experiment = experiment_named(
        wanted.organization,
        _name(wanted.project or facts.project or source.label),
        _name(wanted.experiment or f"Imported from {source.label}"),
    )
    job = import_open(wanted.user, experiment, origin, past, wanted.backends)
    stored = 0
    for reports in _batches(spool.reports(started), import_reached(job)):
        import_add(job, reports)
        stored += sum(len(report.names) for report in reports)
        told(stored, spool.points)
    told(spool.points, spool.points)
    status = CANCELLED if facts.status == UNFINISHED else facts.status
    reason = facts.reason or f"{status} in {source.label}"
    import_close(job, wanted.user, JobState(status), clean_text(reason)[:2000], past.ended)
    job.refresh_from_db()
    summary_update(job)
    return job


def _past(source: Source, run: str, facts: RunFacts, spool: Spool, started: float, ended: float) -> PastRun:
    left_out = len(facts.artifacts) - TOLD_ARTIFACTS
    artifacts = [
        {"name": one.name, "address": one.address, "size": one.size} for one in facts.artifacts[:TOLD_ARTIFACTS]
    ]
    about: dict[str, Any] = {
        "title": f"Imported from {source.label}",
        "text": _sentence(facts, run),
        "tags": dict(facts.tags),
        "artifacts": artifacts,
        "artifacts_left_out": max(0, left_out),
        "left_out": spool.troubles(),
    }
    return PastRun(
        name=clean_text(facts.name),
        trainer=clean_text(facts.trainer or source.name),
        task_type=clean_text(facts.task_type),
        model_name=clean_text(facts.model_name),
        started=_moment(started),
        ended=_moment(ended),
        total_epochs=facts.total_epochs,
        config=facts.config,
        about=about,
    )


def _sentence(facts: RunFacts, run: str) -> str:
    """What the job page's events say of the origin."""
    place, names = facts.address or run, [one.name for one in facts.artifacts]
    if not names:
        return place
    count = "1 file stays there" if len(names) == 1 else f"{len(names)} files stay there"
    return f"{place} · {count}: {', '.join(names[:NAMED])}{' …' if len(names) > NAMED else ''}"


def _span(facts: RunFacts, spool: Spool) -> tuple[float, float]:
    """When the run began and ended: as the source says, else by its points."""
    first, last = spool.span() or (facts.started or facts.ended or time.time(),) * 2
    started = facts.started if facts.started is not None else min(first, facts.ended or first)
    ended = facts.ended if facts.ended is not None else max(last, started)
    return started, max(ended, started)


def _batches(reports: Iterable[Metrics], reached: int) -> Iterator[list[Metrics]]:
    """The reports past number `reached`, as many at a time as one transaction takes."""
    batch: list[Metrics] = []
    points = 0
    for report in islice(reports, reached, None):
        batch.append(report)
        points += len(report.names)
        if len(batch) >= RECORDS or points >= POINTS:
            yield batch
            batch, points = [], 0
    if batch:
        yield batch


def _name(text: str) -> str:
    return clean_text(text).strip()[:LARGEST_NAME] or "Imported"


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
