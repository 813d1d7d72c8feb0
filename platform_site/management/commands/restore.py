"""`manage.py restore DIR`: a backup into an empty platform, compared table by table and file by file."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from platform_site.backup import BackupError
from platform_site.backup.restoring import backup_restore, manifest_read


class Command(BaseCommand):
    help = (
        "Restore a backup into this platform's database and stores, and compare every table and file with its "
        "checksum. Stop the platform's processes first. A database that is not empty is refused without --force."
    )
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, help="what `manage.py backup` wrote")
        parser.add_argument("--force", action="store_true", help="replace everything that the database holds")

    def handle(self, *args: Any, **options: Any) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
        try:
            manifest = manifest_read(options["folder"])
            steps = 2 * len(manifest["files"]) + len(manifest["tables"])
            with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
                task = bar.add_task("restoring", total=steps)
                backup_restore(options["folder"], manifest, options["force"], lambda _: bar.advance(task))
        except BackupError as error:
            raise CommandError(str(error)) from error
        tables, files = len(manifest["tables"]), len(manifest["files"])
        self.stdout.write(f"{tables} tables and {files} files are restored; each is what its checksum says.")
        for line in manifest["missing"]:
            self.stdout.write(f"Was missing already when the backup was made: {line}")
