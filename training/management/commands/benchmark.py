"""`manage.py benchmark NAME`: measure one of the project's promises and print the figures."""

import importlib
import importlib.util
import json
import pkgutil
import signal
import sys
from argparse import ArgumentParser
from types import ModuleType
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from training.benchmarks.rig import BenchmarkError
from training.benchmarks.rig.figures import facts, table


class Command(BaseCommand):
    help = "Measure one of the project's promises: a table, and as the last line the figures as JSON."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        names = parser.add_subparsers(dest="name", metavar="NAME", parser_class=ArgumentParser)
        for name in benchmark_names():
            module = benchmark_load(name)
            module.arguments(names.add_parser(name, help=sentence(module), description=sentence(module)))

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(file=self.stdout)  # type: ignore[arg-type]
        name = options["name"]
        if name is None:
            listed = table("Benchmarks", "name", "what it measures")
            for name in benchmark_names():
                listed.add_row(name, sentence(benchmark_load(name)))
            console.print(listed)
            return
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is put away then, too
        try:
            figures = benchmark_load(name).run(options, console)
        except BenchmarkError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Stopped; nothing is left behind.", returncode=130) from None
        self.stdout.write(json.dumps({"benchmark": name, **facts(), **figures}, allow_nan=False))
        if figures.get("missed"):
            raise CommandError(f"Below what is wanted: {'; '.join(figures['missed'])}.")


def benchmark_names() -> list[str]:
    return sorted(benchmarks_found())


def benchmark_load(name: str) -> ModuleType:
    return importlib.import_module(benchmarks_found()[name])


def benchmarks_found() -> dict[str, str]:
    """The modules of every app's package `benchmarks`, by name; what they share is a package of its own."""
    packages = [f"{app.name}.benchmarks" for app in apps.get_app_configs()]
    there = [importlib.import_module(name) for name in packages if importlib.util.find_spec(name)]
    found = [(package, module) for package in there for module in pkgutil.iter_modules(package.__path__)]
    return {module.name: f"{package.__name__}.{module.name}" for package, module in found if not module.ispkg}


def sentence(module: ModuleType) -> str:
    return (module.__doc__ or "").partition("\n")[0]
