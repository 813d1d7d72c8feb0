"""Renew what the documentation says of the adapters."""

from typing import Any

from django.core.management.base import BaseCommand

from observability.reference import EXAMPLE, GUIDE, example_made, guide_made


class Command(BaseCommand):
    help = "Write what the adapters declare into docs/observability.md and .env.example; a test compares them."

    def handle(self, *args: Any, **options: Any) -> None:
        for path, make in ((GUIDE, guide_made), (EXAMPLE, example_made)):
            before = path.read_text()
            after = make(before)
            path.write_text(after)
            self.stdout.write(f"{path.name}: {'renewed' if after != before else 'as it was'}")
