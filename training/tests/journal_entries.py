"""What tests let a run say: metrics, log lines and events, committed by the real writer."""

import struct
from typing import Any

from training.journal.payloads import Event, Item, Line, Lines, Metrics
from training.journal.writer import Append, commit
from training.models import LogLevel, TrainingJob

TIME = 1_760_000_000.0


def metrics(step: int | None = None, epoch: int | None = None, time: float = TIME, **values: float) -> Metrics:
    """One report; `train__loss` is the metric `train/loss`."""
    names = tuple(name.replace("__", "/") for name in values)
    return Metrics(None, time, step, epoch, names, struct.pack(f"<{len(names)}d", *values.values()))


def named(name: str, value: float, step: int = 1) -> Metrics:
    return Metrics(None, TIME, step, None, (name,), struct.pack("<d", value))


def lines(*messages: str, level: int = LogLevel.INFO, source: str = "trainer") -> Lines:
    return Lines(None, [Line(level, source, TIME, message) for message in messages])


def event(**data: Any) -> Event:
    return Event(data)


def tell(job: TrainingJob, *items: Item) -> int:
    """Commit what the job's run says; the seq that its journal has reached."""
    answer = commit([Append(job.pk, None, items)])[0]
    assert not answer.error
    return answer.seq
