"""`manage.py workers`: the workers and their slots; drain one, or take it back."""

import json
import shutil
from argparse import ArgumentParser
from io import StringIO
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from training.jobs.draining import worker_drain, worker_undrain
from training.jobs.waiting import WorkerSeen, workers_seen
from training.models import Worker


class Command(BaseCommand):
    help = (
        "Show the workers of the last day with their slots; `drain NAME` lets one finish what it runs and take no more."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("do", nargs="?", default="list", choices=["list", "drain", "undrain"])
        parser.add_argument("name", nargs="?", default="", help="the worker's name, for drain and undrain")
        parser.add_argument("--json", action="store_true", help="print one JSON array and nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["do"] != "list":
            worker = _named(options["name"])
            (worker_drain if options["do"] == "drain" else worker_undrain)(worker)
        workers = workers_seen()
        if options["json"]:
            self.stdout.write(json.dumps([_told(one) for one in workers], indent=1))
        elif workers:
            console = Console(record=True, file=StringIO(), width=shutil.get_terminal_size((120, 24)).columns)
            console.print(_table(workers))
            self.stdout.write(console.export_text(styles=False))
        else:
            self.stdout.write("No worker has been seen in the last day.")


def _named(name: str) -> Worker:
    worker = Worker.objects.filter(name=name).first()
    if worker is None:
        known = ", ".join(Worker.objects.order_by("name").values_list("name", flat=True)[:20])
        raise CommandError(f"There is no worker {name!r}. Known: {known or 'none yet'}.")
    return worker


def _told(one: WorkerSeen) -> dict[str, Any]:
    worker = one.worker
    same = {field: getattr(worker, field) for field in ("name", "host", "version", "memory_free", "memory_total")}
    slots = [{"device": s.device, "label": s.label, "job": s.attempt.job_id if s.attempt else None} for s in one.slots]
    queues = worker.queues.split(",") if worker.queues else []
    return {**same, "state": one.state, "queues": queues, "seen_at": worker.seen_at.isoformat(), "slots": slots}


def _table(workers: list[WorkerSeen]) -> Table:
    table = Table("Worker", "State", "Slot", "Runs", "Queues", "Version", "Last seen")
    for one in workers:
        for slot in one.slots:
            runs = f"job {slot.attempt.job_id}" if slot.attempt else "–"
            worker = one.worker
            words = (worker.name, one.state, slot.label, runs, worker.queues, worker.version)
            table.add_row(*map(escape, words), f"{worker.seen_at:%Y-%m-%d %H:%M:%S} UTC")
    return table
