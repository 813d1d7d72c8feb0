"""Serve web pages, the API and WebSockets from this process."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from platform_site.server import serve


class Command(BaseCommand):
    help = "Serve web pages, the API and WebSockets (Daphne, with bodies bounded while they are read)."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (default: 8000)")

    def handle(self, *args: Any, **options: Any) -> None:
        serve(options["host"], options["port"])
