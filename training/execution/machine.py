"""Trainers on the worker's own machine: their processes, folders, load and signs of life."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings

from training.execution.executor import DRAIN_SECONDS
from training.execution.launch import attempt_folder, drain_launch, trainer_launch, worker_folder
from training.execution.leftovers import leftovers_end
from training.execution.subprocess import SubprocessRunning, run_bounded, shim_start
from training.execution.system import SystemSampler, gpus
from training.execution.vitals import Pulse, memory_of, oom_kills
from training.jobs.slots import CPU
from training.models import JobAttempt, Worker


class MachineRunning(SubprocessRunning):
    """A trainer's process and the family below it; `folder` is the attempt's own."""

    def __init__(self, attempt: JobAttempt) -> None:
        self._kills = oom_kills()
        self._folder: Path = attempt_folder(attempt)
        super().__init__(*shim_start(trainer_launch(attempt)))
        self._sampler = SystemSampler(self.process_id, self._folder)
        self._pulse = Pulse(self._folder / "spool" / "pulse", self.process_id)

    def settle(self) -> None:
        leftovers_end(self._folder)  # a shim that was killed could not end them
        self.output.wait(2.0)

    def sample(self) -> dict[str, float]:
        return self._sampler.sample()

    def memory(self) -> int:
        return memory_of(self.process_id)

    def silent_seconds(self) -> float:
        return self._pulse.silent_seconds()

    def oom_kills(self) -> int:
        return oom_kills() - self._kills


class MachineExecutor:
    def devices(self) -> dict[str, str]:
        return {str(n): label for n, label in enumerate(gpus())} or cpu_devices()

    def start(self, attempt: JobAttempt) -> MachineRunning:
        return MachineRunning(attempt)

    def drain(self, attempt: JobAttempt) -> None:
        if (attempt_folder(attempt) / "spool").is_dir():
            run_bounded(drain_launch(attempt, DRAIN_SECONDS), DRAIN_SECONDS + 5)

    def clear(self, attempt: JobAttempt) -> None:
        leftovers_end(attempt_folder(attempt))
        shutil.rmtree(attempt_folder(attempt), ignore_errors=True)

    def recover(self, worker: Worker, attempts: Sequence[JobAttempt]) -> int:
        ended = leftovers_end(worker_folder(worker))
        for attempt in attempts:
            self.drain(attempt)
        shutil.rmtree(worker_folder(worker), ignore_errors=True)
        return ended


def cpu_devices() -> dict[str, str]:
    """The slots of a machine without GPUs: one, or CPU_SLOTS."""
    label = f"CPU ({os.cpu_count()} cores)"
    return {CPU if n == 1 else f"{CPU}-{n}": label for n in range(1, settings.CPU_SLOTS + 1)}
