"""`manage.py jobs`: listed, shown, cancelled and restarted from the command line."""

import argparse
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import QuerySet

from training.jobs import services
from training.jobs.selectors import JobRow, job_events, job_rows, job_status, jobs_visible
from training.jobs.transition import NotAllowed
from training.jobs.waiting import job_waiting
from training.jobs.wakeups import flush
from training.management.terminal import job_numbered, json_line, table_write, user_named
from training.models import JobState, TrainingJob
from training.people.roles import Action, require

FILTERS = {
    "state": "state__in",
    "trainer": "trainer",
    "project": "experiment__project__name",
    "experiment": "experiment__name",
    "dataset": "dataset__name",
    "created_by": "created_by__username",
    "name": "name__icontains",
}
SUPPRESS: Any = argparse.SUPPRESS  # so that what stands before the verb is not overwritten by a default after it


class Command(BaseCommand):
    help = "List jobs, show one, cancel one or run one again. Without a verb it lists the newest."

    def add_arguments(self, parser: CommandParser) -> None:
        _listing(parser)
        verbs = parser.add_subparsers(dest="verb", metavar="list | show | cancel | restart")
        _listing(verbs.add_parser("list", help="the newest jobs, filtered"))
        for verb, text in (
            ("show", "all about one job"),
            ("cancel", "stop a job: at once while it waits, else by asking its trainer"),
            ("restart", "run an ended job again from the beginning"),
        ):
            one = verbs.add_parser(verb, help=text)
            one.add_argument("job", type=int, help="the job's number")
            one.add_argument("--json", action="store_true", default=SUPPRESS, help="print one line of JSON")
            one.add_argument("--user", required=verb != "show", default=SUPPRESS, help="who asks: a user name")

    def handle(self, *args: Any, **options: Any) -> None:
        verb = options.get("verb") or "list"
        {"list": self._list, "show": self._show}.get(verb, self._change)(options)

    def _list(self, options: dict[str, Any]) -> None:
        rows = job_rows(list(_filtered(options)[: max(0, options.get("limit", 20))]))
        if options.get("json"):
            for row in rows:
                json_line(self.stdout, _fields(row))
            return
        if not rows:
            self.stderr.write("There are no such jobs.")
            return
        table_write(self.stdout, ["job", "name", "state", "progress", "project", "by"], map(_cells, rows))

    def _show(self, options: dict[str, Any]) -> None:
        user = user_named(options["user"]) if options.get("user") else None
        job = job_numbered(options["job"], user)
        (row,) = job_rows([job])
        if options.get("json"):
            json_line(self.stdout, _fields(row) | {"config": job.config, "attempts": _attempts(job)})
            return
        facts = _fields(row) | {"dataset": job.dataset, "started": job.started_at, "ended": job.ended_at}
        facts |= _waiting(job) | {"settings": " ".join(f"{name}={value}" for name, value in sorted(job.config.items()))}
        table_write(self.stdout, ["", f"Job {job.pk}"], [(name, str(value)) for name, value in facts.items() if value])
        events = [
            (str(event.seq), str(event.data.get("type", "")), _event(event.data)) for event in job_events(job.pk, 10)
        ]
        if events:
            table_write(self.stdout, ["seq", "event", ""], events)

    def _change(self, options: dict[str, Any]) -> None:
        user = user_named(options["user"])
        job = job_numbered(options["job"], user)
        cancel = options["verb"] == "cancel"
        try:
            require(user, Action.CANCEL_JOB if cancel else Action.RESTART_JOB, job)
            job = services.job_cancel(job, user) if cancel else services.job_restart(job, user)
        except (PermissionDenied, NotAllowed) as error:
            raise CommandError(f"Job {job.pk}: {error}") from error
        flush()
        if options.get("json"):
            json_line(self.stdout, {"id": job.pk, "state": job.state})
        else:
            self.stdout.write(f"Job {job.pk} is {JobState(job.state).label.lower()}.")


def _listing(parser: argparse.ArgumentParser) -> None:
    states = ", ".join(JobState.values)
    parser.add_argument(
        "--state", action="append", choices=JobState.values, metavar="STATE", default=SUPPRESS, help=states
    )
    for name in ("trainer", "project", "experiment", "dataset", "created-by"):
        parser.add_argument(f"--{name}", default=SUPPRESS, help=f"only of this {name.replace('-', ' ')}")
    parser.add_argument("--name", default=SUPPRESS, help="part of the job's name")
    parser.add_argument("--user", default=SUPPRESS, help="only what this person may see")
    parser.add_argument(
        "--archived",
        choices=("false", "true", "all"),
        default=SUPPRESS,
        help="true: those that are archived, all: these too (default: false)",
    )
    parser.add_argument("--limit", type=int, default=SUPPRESS, metavar="N", help="how many (default: 20)")
    parser.add_argument("--json", action="store_true", default=SUPPRESS, help="print one line of JSON per job")


def _filtered(options: dict[str, Any]) -> QuerySet[TrainingJob]:
    rows = (
        TrainingJob.objects.select_related("experiment__project", "dataset", "created_by")
        .order_by("-id")
        .filter(deleted_at=None)
    )
    if options.get("user"):
        rows = jobs_visible(user_named(options["user"])).order_by("-id")
    if (archived := options.get("archived", "false")) != "all":
        rows = rows.filter(archived_at__isnull=archived == "false")
    return rows.filter(**{field: options[name] for name, field in FILTERS.items() if options.get(name)})


def _fields(row: JobRow) -> dict[str, Any]:
    job = row.job
    same = ("name", "state", "state_reason", "trainer", "model_name", "task_type", "queue", "attempt")
    told = {"id": job.pk} | {name: getattr(job, name) for name in same}
    told |= {"project": job.experiment.project.name, "experiment": job.experiment.name}
    told |= {"created_by": job.created_by.get_username() if job.created_by else None, "created_at": job.created_at}
    told |= {"progress": row.progress.fraction, "epoch": row.progress.epoch, "total_epochs": row.progress.total_epochs}
    return told | {"error": job.error_message, "address": f"{settings.SITE_URL}/jobs/{job.pk}/"}


def _cells(row: JobRow) -> list[str]:
    job, progress = row.job, row.progress
    how_far = f"{progress.percent} %" if progress.fraction is not None else ""
    who = job.created_by.get_username() if job.created_by else ""
    return [str(job.pk), job.name, str(JobState(job.state).label), how_far, job.experiment.project.name, who]


def _waiting(job: TrainingJob) -> dict[str, str]:
    waiting = job_waiting(job)
    if waiting is None:
        return {}
    return {"waiting": f"place {waiting.place} in the queue {job.queue}. {waiting.reason}"}


def _attempts(job: TrainingJob) -> list[dict[str, Any]]:
    status = job_status(job.pk)
    names = ("number", "device", "opened_at", "started_at", "ended_at", "outcome", "exit_code")
    return [{name: getattr(one, name) for name in names} for one in (status.attempts if status else [])]


def _event(data: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in data.items() if name != "type" and value not in (None, ""))
