"""`manage.py add_weights`: a file of weights on this machine becomes one from which jobs may begin."""

import json
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from training.models import Organization
from training.weights import weights_add


class Command(BaseCommand):
    help = "Keep a file of pretrained weights for an organization. It is copied, and never opened by the platform."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="the file, such as yolo11n.pt")
        parser.add_argument("--organization", required=True, metavar="SLUG", help="whose they are to be")
        parser.add_argument("--name", default="", help="what they are to be called (default: the file's name)")
        parser.add_argument("--framework", default="ultralytics", help="whose weights they are (default: ultralytics)")
        parser.add_argument("--task", default="detection", help="what they are for (default: detection)")
        parser.add_argument("--json", action="store_true", help="print one line of JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        organization = Organization.objects.filter(slug=options["organization"]).first()
        if organization is None:
            raise CommandError(f"There is no organization {options['organization']!r}.")
        words = {"framework": options["framework"], "task_type": options["task"]}
        path: Path = options["file"]
        try:
            weights = weights_add(None, organization, path, name=options["name"] or path.name, **words)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        except OSError as error:
            raise CommandError(f"{path} can't be read: {error.strerror or error}.") from error
        said = {"id": weights.pk, "name": weights.name, "size": weights.size, "sha256": weights.sha256}
        self.stdout.write(json.dumps(said) if options["json"] else f"Kept as weights {weights.pk}: {weights.name}")
