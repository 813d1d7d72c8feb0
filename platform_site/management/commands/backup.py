"""`manage.py backup DIR`: the database and the files that it names, while everything runs."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from platform_site.backup import BackupError
from platform_site.backup.saving import backup_make


class Command(BaseCommand):
    help = (
        "Copy one moment of the database, and the stored files that it names, into a new folder, with a checksum of "
        "each table and file. The platform may run meanwhile. Settings and secrets of the environment are not in it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, help="a new or empty folder")

    def handle(self, *args: Any, **options: Any) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("tables", total=None)

            def count(number: int) -> None:
                bar.reset(task, total=number, description="files")

            try:
                manifest = backup_make(options["folder"], lambda _: bar.advance(task), count)
            except BackupError as error:
                raise CommandError(str(error)) from error
        rows = sum(table["rows"] for table in manifest["tables"].values())
        size = sum(file["size"] for file in manifest["files"]) / 1e6
        self.stdout.write(
            f"{len(manifest['tables'])} tables with {rows} rows, {len(manifest['files'])} files, {size:.1f} MB."
        )
        if manifest["missing"]:
            told = "\n".join(manifest["missing"][:20])
            raise CommandError(f"The backup is whole but for {len(manifest['missing'])} files:\n{told}", returncode=2)
