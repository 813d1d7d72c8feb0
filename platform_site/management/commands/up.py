"""Run the whole platform on this machine with one command."""

import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from argparse import BooleanOptionalAction
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from platform_site.processes import Children, environment, python
from training.execution.executors import executor_here

WEB_SECONDS = 30.0


class Command(BaseCommand):
    help = (
        "Run the web server, a training worker, a delivery and maintenance worker, and the scheduler as children "
        "of this process. Ctrl-C ends them all; a running job is handed back and starts again next time."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        port = urlsplit(settings.SITE_URL).port or 8000
        parser.add_argument("--port", type=int, default=port, help=f"port of the web server (default: {port})")
        parser.add_argument("--demo", action="store_true", help="make a user and a dataset, and train a first model")
        parser.add_argument("--exit", action="store_true", help="with --demo: end when the job has ended")
        parser.add_argument("--epochs", type=int, default=None, help="with --demo: how many epochs to train")
        parser.add_argument(
            "--migrate", action=BooleanOptionalAction, default=True, help="bring the database up to date first"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        port_check(options["port"])
        stopping = threading.Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: stopping.set())
        if options["migrate"]:
            call_command("migrate", verbosity=0)
        echo = None if options["demo"] else self._echo
        site_url = f"http://127.0.0.1:{options['port']}"
        children = Children(settings.DATA_DIR / "logs", environment(SITE_URL=site_url), echo)
        try:
            children_start(children, options["port"])
            if options["demo"]:
                from platform_site.demo import Demo

                Demo(children, stopping, site_url, self.stdout).run(options["epochs"], leave=options["exit"])
            else:
                web_wait(site_url, children, stopping)
                self.stdout.write(f"The platform runs at {site_url} (Ctrl-C ends it)")
                children_watch(children, stopping)
        finally:
            children.stop()

    def _echo(self, name: str, line: str) -> None:
        self.stdout.write(f"{name:<9} {line}")


def children_start(children: Children, port: int) -> None:
    """Start the four processes; the log of each lies under the data folder."""
    children.start("web", python("manage.py", "serve", "--port", str(port)))
    celery = python("-m", "celery", "-A", "platform_site", "--quiet")
    # threads: the worker answers and hears signals while one thread for each slot watches over a trainer
    children.start("training", [*celery, *worker_options("training", "gpu,cpu", len(executor_here().devices()))])
    children.start("delivery", [*celery, *worker_options("delivery", "maintenance,delivery,inference", 3)])
    children.start("beat", [*celery, "beat", "--loglevel", "WARNING", "--pidfile="])


def worker_options(name: str, queues: str, threads: int) -> list[str]:
    options = ["--pool", "threads", "--concurrency", str(threads), "--loglevel", "INFO"]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    return ["worker", "--hostname", f"{name}@%h", "--queues", queues, *options, *quiet]


def children_watch(children: Children, stopping: threading.Event) -> None:
    """Wait for the signal to stop. Raises CommandError if a child dies before it."""
    while not stopping.wait(0.3):
        children_check(children)


def children_check(children: Children) -> None:
    """Raise CommandError with the last words of the child that has died, if one has."""
    if (dead := children.dead()) is None:
        return
    code = dead.exit_code or 0
    how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    last = "\n".join(dead.log.read_text("utf-8", "replace").splitlines()[-15:])
    raise CommandError(f"The {dead.name} process {how}, so all are stopped. Its last words ({dead.log}):\n{last}")


def web_wait(site_url: str, children: Children, stopping: threading.Event) -> None:
    """Wait until the web process answers. Raises CommandError if it does not."""
    deadline = time.monotonic() + WEB_SECONDS
    while not stopping.is_set():
        children_check(children)
        try:
            urllib.request.urlopen(f"{site_url}/healthz", timeout=2).close()
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if time.monotonic() > deadline:
                raise CommandError(f"The web process does not answer at {site_url} after {WEB_SECONDS:g} s.") from None
            time.sleep(0.1)


def port_check(port: int) -> None:
    """Raise CommandError, with what to do, where the port is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            hint = "end what listens there, or choose another with --port"
            raise CommandError(f"Port {port} can't be used ({error.strerror}): {hint}.") from error
