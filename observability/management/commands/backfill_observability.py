"""Tell a backend of jobs that it has missed."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Sum
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from observability import breaker, ledger
from observability.lanes import Lane
from observability.models import Delivery, DeliveryState
from observability.registry import configured
from observability.tallies import tallies
from training.journal.reader import heads
from training.models import JobState, TrainingJob

GIVE_UP_AFTER = 8  # failures in a row
PAUSE_SECONDS = 0.2
CHUNK = 500


class Command(BaseCommand):
    help = (
        "Send everything of past jobs to a backend, from the first record on. It may be interrupted and started again "
        "at any time: each job goes on where it stands, and delivery workers may send at the same time."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--backend", required=True, help="a configured backend")
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--job", type=int, action="append", metavar="N", help="this job; repeatable")
        which.add_argument("--since", type=date_read, metavar="DATE", help="jobs made since then, such as 2026-01-31")
        which.add_argument("--all", action="store_true", help="every job")
        parser.add_argument("--dry-run", action="store_true", help="only tell what would be sent")

    def handle(self, *args: Any, **options: Any) -> None:
        backend = options["backend"]
        if backend not in configured():
            raise CommandError(f"{backend} is not configured; configured are: {', '.join(configured())}.")
        jobs = jobs_chosen(options)
        reached = {key: head.seq for part in chunks(jobs) for key, head in heads(part).items()}
        missing = sum(reached.values()) - sent(backend, jobs)
        if options["dry_run"]:
            self.stdout.write(f"{missing} records of {len(jobs)} jobs would be sent to {backend}.")
            return
        for part in chunks(jobs):
            ledger.backfill(part, backend)
        breaker.close(backend)
        lane = Lane(configured()[backend])
        try:
            self._follow(lane, jobs, reached)
        finally:
            lane.close()
            tallies.flush()

    def _follow(self, lane: Lane, jobs: Sequence[int], reached: dict[int, int]) -> None:
        """Serve these jobs until each is complete or paused."""
        backend, total, failures = lane.found.name, sum(reached.values()), 0
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        console = Console(file=cast(IO[str], self.stdout))
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task(backend, total=total)
            while unfinished(backend, reached):
                served = any(lane.serve(part) for part in chunks(jobs))
                failures = failures + 1 if served and lane.last_error else (0 if served else failures)
                if failures >= GIVE_UP_AFTER:
                    raise CommandError(f"{backend} fails again and again: {lane.last_error}\nStart again to go on.")
                progress.update(task, completed=min(total, sent(backend, jobs)))
                tallies.flush_due()
                if not served:
                    time.sleep(PAUSE_SECONDS)
            progress.update(task, completed=min(total, sent(backend, jobs)))
        self._conclude(backend, jobs, total)

    def _conclude(self, backend: str, jobs: Sequence[int], total: int) -> None:
        paused = Delivery.objects.filter(backend=backend, job__in=jobs, state=DeliveryState.PAUSED)
        for delivery in paused.order_by("job_id")[:20]:
            self.stderr.write(f"Job {delivery.job_id} is paused: {delivery.last_error}")
        if paused:
            raise CommandError(f"{backend} refuses {paused.count()} of {len(jobs)} jobs; the others are complete.")
        self.stdout.write(f"{backend} has all {total} records of {len(jobs)} jobs.")


def jobs_chosen(options: dict[str, Any]) -> list[int]:
    """The jobs that the options name, oldest first. Raises CommandError if one does not exist."""
    jobs = TrainingJob.objects.exclude(state=JobState.DRAFT).order_by("pk")
    if options["job"]:
        found = list(jobs.filter(pk__in=options["job"]).values_list("pk", flat=True))
        if missing := sorted(set(options["job"]) - set(found)):
            raise CommandError(f"There is no job {', '.join(map(str, missing))}.")
        return found
    if options["since"]:
        jobs = jobs.filter(created_at__gte=options["since"])
    return list(jobs.values_list("pk", flat=True))


def unfinished(backend: str, reached: dict[int, int]) -> bool:
    """Whether one of these jobs still lacks something that was there when we began, and is not paused."""
    for part in chunks(list(reached)):
        rows = Delivery.objects.filter(backend=backend, job__in=part).exclude(state=DeliveryState.PAUSED)
        if any(seq < reached[job_id] for job_id, seq in rows.values_list("job_id", "seq")):
            return True
        if rows.filter(state=DeliveryState.WAITING).exists() or ledger.due(backend).filter(job__in=part).exists():
            return True
    return False


def sent(backend: str, jobs: Sequence[int]) -> int:
    parts = (Delivery.objects.filter(backend=backend, job__in=part) for part in chunks(jobs))
    return sum(part.aggregate(sum=Sum("seq"))["sum"] or 0 for part in parts)


def chunks(items: Sequence[int]) -> list[Sequence[int]]:
    return [items[at : at + CHUNK] for at in range(0, len(items), CHUNK)]


def date_read(text: str) -> datetime:
    """A moment in UTC, of a date or a time in ISO's form."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
