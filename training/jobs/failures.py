"""What exactly made a run fail: causes with a title and advice, told from messages, and what may mend it."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from training.models import ErrorType, TrainingJob
from training.trainers import trainers_all


class Cause(StrEnum):
    """Stored as a job's `error_code`; empty where nothing more than the error type is known."""

    GPU_MEMORY = "gpu_memory"
    HOST_MEMORY = "host_memory"
    SHARED_MEMORY = "shared_memory"
    MEMORY_LIMIT = "memory_limit"
    TIME_LIMIT = "time_limit"
    DISK_FULL = "disk_full"
    SIGNAL = "signal"
    EXIT_CODE = "exit_code"
    SILENT_END = "silent_end"
    NOT_STARTED = "not_started"
    HANG = "hang"
    WORKER_LOST = "worker_lost"
    NOT_FINITE = "not_finite"


@dataclass(frozen=True, slots=True)
class Said:
    """A cause in words for people, in English: what happened, and what to do."""

    title: str
    advice: str


@dataclass(frozen=True, slots=True)
class Mending:
    """A change of settings that may help."""

    label: str
    changes: dict[str, Any]

    @property
    def said(self) -> str:
        """The changes in words."""
        return ", ".join(
            gettext("%(name)s becomes %(value)s") % {"name": name, "value": value}
            for name, value in self.changes.items()
        )


SMALLER = _("Try again with a smaller batch or image size, or on a larger machine.")
WORDS: dict[str, Said] = {
    Cause.GPU_MEMORY: Said(_("The GPU's memory ran out"), SMALLER),
    Cause.HOST_MEMORY: Said(_("The machine's memory ran out"), SMALLER),
    Cause.SHARED_MEMORY: Said(
        _("The shared memory ran out"),
        _("Use fewer data loading workers, or give the worker's container a larger /dev/shm."),
    ),
    Cause.MEMORY_LIMIT: Said(
        _("Stopped at its memory limit"),
        _(
            "Raise the limit if the machine has more. "
            "Try again with a smaller batch or image size, or on a larger machine."
        ),
    ),
    Cause.TIME_LIMIT: Said(
        _("Stopped at its time limit"),
        _("Resume it from its last checkpoint, or raise the limit (TIME_LIMIT_HOURS)."),
    ),
    Cause.DISK_FULL: Said(
        _("The disk is full"),
        _("Make room on the worker (WORK_DIR, DATASET_CACHE_DIR) or in the store, then start again."),
    ),
    Cause.SIGNAL: Said(
        _("The trainer was ended by a signal"),
        _("Something outside the platform ended it, or it crashed in native code."),
    ),
    Cause.EXIT_CODE: Said(
        _("The trainer ended with an error"),
        _("Its last words are below; the log has all of them."),
    ),
    Cause.SILENT_END: Said(
        _("The trainer ended without saying so"),
        _("It ended as if all were well, but reported no end: look at its program."),
    ),
    Cause.NOT_STARTED: Said(
        _("The trainer could not be started"),
        _("Look at the worker's set-up; the message names what is wrong."),
    ),
    Cause.HANG: Said(
        _("The trainer hung"),
        _("It was there and did nothing. The log's last lines tell where it stood."),
    ),
    Cause.NOT_FINITE: Said(
        _("Stopped at a value that is not a number"),
        _("Lower the learning rate, switch mixed precision off, or look at the data; then start anew."),
    ),
    Cause.WORKER_LOST: Said(
        _("Its worker was lost again and again"),
        _("Look at the worker's machine, then start again."),
    ),
}
MARKS: list[tuple[Cause, re.Pattern[str]]] = [
    (Cause.SHARED_MEMORY, re.compile(r"shared memory|\bshm\b|bus error", re.I)),
    (Cause.GPU_MEMORY, re.compile(r"(cuda|hip|mps|gpu)\b.*out of memory|cu\w+_status_alloc_failed", re.I)),
    (
        Cause.DISK_FULL,
        re.compile(r"no space left on device|disk quota exceeded|file too large|disk(?: is)? full", re.I),
    ),
    (
        Cause.HOST_MEMORY,
        re.compile(
            r"\bmemoryerror\b|(cannot|can't) allocate memory|bad_alloc|out of memory|killed by signal: killed", re.I
        ),
    ),
]
RESOURCES = {Cause.GPU_MEMORY, Cause.HOST_MEMORY, Cause.SHARED_MEMORY, Cause.DISK_FULL}
UNCLEAR = {ErrorType.UNKNOWN_ERROR, ErrorType.FRAMEWORK_ERROR, ErrorType.RESOURCE_ERROR}


def failure_named(error_type: ErrorType, message: str, cause: str = "") -> tuple[ErrorType, str]:
    """The error type and cause of a failure; what ran out is read from the first and the last line of its message."""
    if error_type not in UNCLEAR or cause in {Cause.HANG, Cause.MEMORY_LIMIT, Cause.TIME_LIMIT, Cause.WORKER_LOST}:
        return error_type, cause
    lines = message.strip().splitlines() or [""]
    told = "\n".join((lines[0], lines[-1]))
    found = next((known for known, mark in MARKS if mark.search(told)), None)
    return (ErrorType.RESOURCE_ERROR, found) if found else (error_type, cause)


def mending_of(job: TrainingJob) -> Mending | None:
    """Half the batch, where memory ran out and the trainer has a batch size that can be halved."""
    size = job.config.get("batch_size")
    trainer = trainers_all().get(job.trainer)
    if job.error_code not in (Cause.GPU_MEMORY, Cause.HOST_MEMORY, Cause.MEMORY_LIMIT) or trainer is None:
        return None
    setting = next((one for one in trainer.settings if one.name == "batch_size"), None)
    if setting is None or not isinstance(size, int) or size < 2 or setting.problem(size // 2):
        return None
    return Mending(gettext("Retry with batch %(size)s") % {"size": size // 2}, {"batch_size": size // 2})
