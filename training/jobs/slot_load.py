"""What the machines report of the slots on which jobs run: the newest system metrics of each job, for the board."""

import struct
import time as clock
from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import Max
from django.utils.translation import gettext, gettext_noop

from training.journal.names import names_of
from training.journal.reader import heads
from training.models import JournalRecord, RecordKind

LOOKED_AT = 3000  # of a job's newest records: the machine is sampled every few seconds
STALE_SECONDS = 120.0
GPU = (
    ("utilization", gettext_noop("load"), "%", 100.0),
    ("temperature", gettext_noop("temperature"), "°C", 0.0),
    ("memory_gib", gettext_noop("memory"), "GiB", 0.0),
)
CPU = (
    ("system/cpu.utilization", gettext_noop("load"), "%", 100.0),
    ("system/memory.percent", gettext_noop("memory"), "%", 100.0),
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One figure of a slot; `whole` is what fills its meter, 0 where it has none."""

    label: str
    value: float
    unit: str
    whole: float


def jobs_load(job_ids: Collection[int]) -> dict[int, dict[str, float]]:
    """The newest system metrics of each job that has some lately, by name."""
    now = clock.time()
    found: dict[int, dict[str, float]] = {}
    for job_id, head in heads(list(job_ids)).items() if job_ids else ():
        records = JournalRecord.objects.filter(job_id=job_id, kind=RecordKind.METRICS, seq__gt=head.seq - LOOKED_AT)
        newest = dict(records.order_by().values_list("names_id").annotate(Max("seq")))
        lists = names_of(newest.keys())
        seqs = [newest[key] for key, names in lists.items() if any(name.startswith("system/") for name in names)]
        row = records.filter(seq=max(seqs)).values_list("names_id", "time", "values").first() if seqs else None
        if row is not None and now - row[1] < STALE_SECONDS:
            names = lists[row[0]]
            found[job_id] = dict(zip(names, struct.unpack(f"<{len(names)}d", bytes(row[2])), strict=True))
    return found


def slot_readings(device: str, load: dict[str, float], memory_total: int | None = None) -> list[Reading]:
    """What is known of one slot: of its GPU, or of the machine where it is the CPU."""
    if device == "cpu":
        return [Reading(gettext(label), load[name], unit, whole) for name, label, unit, whole in CPU if name in load]
    readings = []
    for name, label, unit, whole in GPU:
        value = load.get(f"system/gpu.{device}.{name}")
        if value is not None:
            total = memory_total / 2**30 if name == "memory_gib" and memory_total else whole
            readings.append(Reading(gettext(label), value, unit, total))
    return readings
