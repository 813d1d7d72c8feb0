"""The whole platform as processes of its own, each to be killed and started again, with Redis and open pages."""

import os
import secrets
import subprocess
import time
from pathlib import Path

import psutil
from django.conf import settings

from platform_site.processes import environment, python
from training.benchmarks.rig.processes import answer_wait, free_port, program

WEB_SECONDS = 90.0
END_SECONDS = 40.0


class House:
    def __init__(self, folder: Path, database: str, slots: int) -> None:
        self.trainers = folder / "soak_trainers"
        self._folder, self._slots = folder, slots
        self.port, self._redis = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._variables = environment(
            DATA_DIR=str(folder / "data"),
            DATABASE_URL=database,
            REDIS_URL=f"redis://127.0.0.1:{self._redis}/0",
            CELERY_BROKER_URL="",
            DJANGO_SECRET_KEY=secrets.token_urlsafe(48),
            SITE_URL=self.url,
            TRAINERS_DIR=str(self.trainers),
            CPU_SLOTS=str(slots),
            HEARTBEAT_SECONDS="2",
            SWEEP_SECONDS="1",
            LOST_GRACE_SECONDS="90",
            MAX_ATTEMPTS="50",
            SYSTEM_METRICS_SECONDS="10",
            LOG_LEVEL="WARNING",
        )

    def commands(self) -> dict[str, list[str]]:
        celery = python("-m", "celery", "-A", "platform_site", "--quiet")
        quiet = ["--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"]
        worker = [*celery, "worker", "--pool", "threads", *quiet]
        redis = ["redis-server", "--bind", "127.0.0.1", "--port", str(self._redis), "--save", "", "--appendonly", "no"]
        return {
            "redis": [*redis, "--dir", str(self._folder)],
            "web": python("manage.py", "serve", "--port", str(self.port)),
            "training": [*worker, "--hostname", "soak@%h", "--queues", "gpu,cpu", "--concurrency", str(self._slots)],
            "delivery": [*worker, "--hostname", "rest@%h", "--queues", "maintenance,delivery", "--concurrency", "2"],
            "beat": [*celery, "beat", "--loglevel", "WARNING", "--pidfile="],
        }

    def start(self) -> None:
        program(python("manage.py", "migrate", "--verbosity", "0"), self._variables)
        for name in self.commands():
            self.begin(name)
        answer_wait(f"{self.url}/healthz", self._running["web"], WEB_SECONDS)

    def begin(self, name: str) -> None:
        with (self._folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                self.commands()[name], cwd=settings.BASE_DIR, env=self._variables, stdout=log, stderr=log
            )

    def kill(self, name: str) -> None:
        self._running[name].kill()
        self._running[name].wait(20)

    def memory(self, name: str) -> float:
        """Resident MB of one of them, without what it has started."""
        return float(psutil.Process(self._running[name].pid).memory_info().rss / 1e6)

    def ask(self, *words: str) -> str:
        """What the witness, a program of its own, answers."""
        return program(python("-m", "training.benchmarks.rig.witness", *words), self._variables).splitlines()[-1]

    def pages_open(self, count: int) -> "subprocess.Popen[bytes]":
        """So many open job pages, which come back by themselves; a program of its own."""
        cookie = self.ask("cookie")
        variables = {**os.environ, "PAGES": str(count), "URL": self.url, "COOKIE": cookie}
        command = python("-m", "training.benchmarks.rig.open_pages")
        self._running["pages"] = subprocess.Popen(command, cwd=settings.BASE_DIR, env=variables)
        return self._running["pages"]

    def end(self) -> None:
        """Ask all of them to end, and kill what has not within one time for all."""
        for process in reversed(self._running.values()):
            process.terminate()
        deadline = time.monotonic() + END_SECONDS
        for process in self._running.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
