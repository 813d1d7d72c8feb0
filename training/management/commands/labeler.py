"""`manage.py labeler`: the datasets that the labeler shows to a person; `import_dataset labeler:ID` imports one."""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from training.labeler.client import LabelerClient, LabelerError, labeler_configured
from training.management.terminal import json_line, table_write, user_named


class Command(BaseCommand):
    help = "List the labeler's datasets; `import_dataset labeler:ID --user NAME` imports one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--user", required=True, metavar="NAME", help="who asks: the labeler shows what they may see"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON array and nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        if not labeler_configured():
            raise CommandError("There is no labeler: LABELER_API_URL is not set.")
        try:
            found = LabelerClient(user_named(options["user"])).datasets()
        except LabelerError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            json_line(self.stdout, [asdict(one) for one in found])
            return
        rows = [[one.id, one.name, one.task_type, _number(one.images), _number(one.classes)] for one in found]
        table_write(self.stdout, ["id", "name", "task", "images", "classes"], rows)


def _number(value: int | None) -> str:
    return "–" if value is None else str(value)
