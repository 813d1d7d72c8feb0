"""The journal as messages for programs: one JSON object for each record, as section 5.5 of the specification says."""

import json
from collections.abc import Sequence
from typing import Any

from training.jobs.series import strict, strict_dumps
from training.journal.reader import Record
from training.models import LogLevel, RecordKind, TrainingLog

ENDINGS = {"completed": "training_complete", "failed": "training_error"}


def record_messages(job_id: int, records: Sequence[Record]) -> list[tuple[int, str]]:
    """(seq, message) of each record, in order."""
    logs = [record.seq for record in records if record.kind == RecordKind.LOG]
    lines = _lines(job_id, logs) if logs else {}
    return [(record.seq, _message(job_id, record, lines.get(record.seq, []))) for record in records]


def _message(job_id: int, record: Record, lines: list[dict[str, Any]]) -> str:
    kind, data = _content(record, lines)
    place = {"attempt": record.attempt, "step": record.step, "epoch": record.epoch}
    message = {"type": kind, "job_id": job_id, "seq": record.seq, "time": record.time, "data": place | data}
    return strict_dumps(message)


def _content(record: Record, lines: list[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    if record.kind == RecordKind.METRICS:
        values = {name: strict(value) for name, value in zip(record.names, record.values, strict=True)}
        return "training_progress", {"metrics": values}
    if record.kind == RecordKind.LOG:
        return "log", {"lines": lines}
    event = record.event or {}
    if event.get("type") == "state":
        return ENDINGS.get(str(event.get("to")), "training_state"), event
    return "training_event", event


def _lines(job_id: int, seqs: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    rows = TrainingLog.objects.filter(job_id=job_id, seq__gte=seqs[0], seq__lte=seqs[-1]).order_by("seq", "n")
    for line in rows:
        found.setdefault(line.seq, []).append(
            {
                "level": LogLevel(line.level).label,
                "source": line.source,
                "time": line.time,
                "message": line.message,
                "metadata": json.loads(line.metadata) if line.metadata else {},
            }
        )
    return found
