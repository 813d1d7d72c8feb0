"""`manage.py import_dataset`: a folder or archive, an object store's place or the labeler's, becomes a dataset."""

import json
import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

from training.datasets.formats.registry import format_list
from training.datasets.scan import DatasetError, Progress
from training.datasets.services import dataset_import
from training.imports.objects import place_checked
from training.imports.sources import address_folder, archive_folder
from training.labeler.client import labeler_configured
from training.labeler.importing import LABELER, fetched_folder
from training.management.terminal import user_named
from training.models import Organization, User
from training.people.roles import Action, require


class Command(BaseCommand):
    help = (
        "Import a folder of images and labels, an archive of one, s3://bucket/prefix, or one of the labeler's datasets "
        "(labeler:ID, with --user), as a dataset. The format is recognised; images and labels are checked and copied "
        "into the external store; what is damaged is left out and reported."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", help="the folder, such as one with data.yaml, images/ and labels/; a zip or tar")
        parser.add_argument("--name", required=True, help="what the dataset is to be called")
        parser.add_argument("--organization", required=True, metavar="SLUG", help="whose it is to be")
        parser.add_argument("--user", default="", help="who imports: a user name; without it the dataset is nobody's")
        parser.add_argument("--format", default="", help=f"what the folder is, if in doubt: {', '.join(format_list())}")
        parser.add_argument("--task", default="", help=f"what it is to train, if in doubt: {', '.join(_tasks())}")
        parser.add_argument("--json", action="store_true", help="print the report as one JSON object and nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        organization = _organization(options["organization"])
        user = _importer(options["user"], organization)
        quiet = options["json"]
        try:
            with _bar(quiet) as progress, _folder(options["folder"], organization, user, progress) as folder:
                dataset = dataset_import(
                    organization,
                    options["name"],
                    folder,
                    user,
                    progress,
                    anywhere=True,
                    format_name=options["format"],
                    task_type=options["task"],
                )
        except DatasetError as error:
            if quiet:
                self.stdout.write(json.dumps({"error": str(error), **error.report}))
            else:
                _report_print(Console(stderr=True), error.report)
            raise CommandError(str(error)) from error
        if quiet:
            self.stdout.write(json.dumps({"id": dataset.pk, "name": dataset.name, **dataset.report}))
            return
        _report_print(Console(), dataset.report)
        self.stdout.write(f"Imported as dataset {dataset.pk}: {dataset.name}")


@contextmanager
def _folder(source: str, organization: Organization, user: User | None, progress: Progress | None) -> Iterator[Path]:
    """The folder to read, whatever was named."""
    path = Path(source)
    if source.startswith("s3://"):
        with address_folder(place_checked(organization, source), progress) as folder:
            yield folder
    elif source.startswith(f"{LABELER}:"):
        if user is None or not labeler_configured():
            raise CommandError("The labeler is asked in a person's name: --user, and LABELER_API_URL.")
        with fetched_folder(user, source.partition(":")[2], f"command-{os.getpid()}", progress) as folder:
            yield folder
    elif path.is_file():
        with archive_folder(path, progress) as folder:
            yield folder
    else:
        yield path


def _tasks() -> list[str]:
    return list(dict.fromkeys(one.TASK for one in format_list().values()))


def _importer(name: str, organization: Organization) -> User | None:
    if not name:
        return None
    user = user_named(name)
    try:
        require(user, Action.IMPORT_DATASET, organization)
    except PermissionDenied as error:
        raise CommandError(f"{name}: {error}") from error
    return user


def _organization(slug: str) -> Organization:
    found = Organization.objects.filter(slug=slug).first()
    if found is None:
        known = ", ".join(Organization.objects.order_by("slug").values_list("slug", flat=True)[:20])
        raise CommandError(f"There is no organization {slug!r}. Known: {known or 'none yet'}.")
    return found


@contextmanager
def _bar(quiet: bool) -> Iterator[Progress | None]:
    """A progress bar on a terminal; nothing elsewhere, where it would only fill a log."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done)

        yield progress


def _report_print(console: Console, report: dict[str, Any]) -> None:
    if "images" not in report:  # nothing was read
        return
    facts = Table(show_header=False, title="What was found", title_justify="left")
    for name in ("format", "task_type", "images", "labelled", "background", "left_out", "instances"):
        facts.add_row(name.replace("_", " "), str(report[name]))
    sizes = report["image_sizes"]
    if sizes:
        facts.add_row("image sizes", " to ".join(f"{width} × {height}" for width, height in sizes.values()))
    console.print(facts)
    _classes_print(console, report)
    _problems_print(console, report)


def _classes_print(console: Console, report: dict[str, Any]) -> None:
    splits = list(report["splits"])
    table = Table("class", *splits, title="Objects of each class", title_justify="left")
    for found in report["classes"][:50]:
        table.add_row(escape(found["name"]), *(str(found["instances"].get(split, 0)) for split in splits))
    table.add_section()
    table.add_row("images", *(str(report["splits"][split]) for split in splits))
    console.print(table)


def _problems_print(console: Console, report: dict[str, Any]) -> None:
    count, shown = report["problem_count"], report["problems"]
    if not count:
        console.print("No problems.")
        return
    console.print(f"Problems: {count}" + (f", of which the first {len(shown)}:" if count > len(shown) else ":"))
    for sentence in shown:
        console.print(f"  {escape(sentence)}", highlight=False, soft_wrap=True)
