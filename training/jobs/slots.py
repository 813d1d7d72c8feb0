"""Slots: how many GPUs a job asks for, which of a worker's are free for it, and what its trainer sees of them.

The numbers in a job's `device` are a count, not a place: `0,1` asks for any two
GPUs of one worker, which the trainer then knows as 0 and 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from training.models import JobAttempt, Slot, Worker

CPU = "cpu"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a job asks for: so many slots of one worker, and whether they have to be GPUs."""

    count: int
    gpus: bool

    def __str__(self) -> str:
        return f"{self.count} GPU{'s' if self.count > 1 else ''}" if self.gpus else "a slot"

    def fits(self, slot: Slot) -> bool:
        return not self.gpus or not slot.device.startswith(CPU)


def slots_wanted(config: dict[str, Any]) -> Wanted:
    """What the setting `device` asks for; empty means one slot of any kind."""
    names = [name.strip() for name in str(config.get("device") or "").split(",")]
    numbers = {name.removeprefix("cuda:") for name in names if name.removeprefix("cuda:").isdigit()}
    return Wanted(max(1, len(numbers)), bool(numbers))


def slots_for(worker: Worker, wanted: Wanted) -> tuple[bool, bool]:
    """(whether enough slots of this worker are free, whether they would be if all were)."""
    fitting = [slot for slot in Slot.objects.filter(worker=worker) if wanted.fits(slot)]
    free = sum(slot.attempt_id is None for slot in fitting)
    return free >= wanted.count, len(fitting) >= wanted.count


def slots_free_locked(worker: Worker, wanted: Wanted) -> list[Slot]:
    """The free slots that a job is given, locked until the transaction ends; none at all if they are too few.

    All of the worker's slots are locked, always in one order, so that two jobs never hold half of what each needs.
    """
    if Worker.objects.select_for_update(no_key=True).get(pk=worker.pk).draining_at is not None:
        return []
    slots = list(Slot.objects.select_for_update(no_key=True).filter(worker=worker).order_by("pk"))
    free = [slot for slot in slots if slot.attempt_id is None and wanted.fits(slot)]
    return free[: wanted.count] if len(free) >= wanted.count else []


def slots_label(slots: Sequence[Slot]) -> str:
    """The devices, for people: `2 × NVIDIA H200` rather than the same name twice."""
    names = [slot.label for slot in slots]
    parts = [f"{names.count(name)} × {name}" if names.count(name) > 1 else name for name in dict.fromkeys(names)]
    return ", ".join(parts)[:120]


def slots_gpus(attempt: JobAttempt) -> list[str]:
    """The numbers of the GPUs that an attempt holds, as the machine counts them."""
    held = Slot.objects.filter(attempt=attempt).exclude(device__startswith=CPU).values_list("device", flat=True)
    return sorted(held, key=lambda device: (len(device), device))


def device_visible(device: Any, gpus: int) -> Any:
    """The setting `device` as the trainer has to read it: it sees only its own GPUs, numbered from 0."""
    return ",".join(map(str, range(gpus))) if slots_wanted({"device": device}).gpus and gpus else device
