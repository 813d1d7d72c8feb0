"""REST: the workers, their slots, and what runs on them as far as the caller may know it."""

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from training.api.rest_pages import Page, caller_of
from training.jobs.waiting import SlotSeen, WorkerSeen, workers_seen

router = Router(tags=["workers"])


class SlotOut(Schema):
    device: Annotated[str, Field(description="The GPU's number, or `cpu`.")]
    label: str
    taken: bool
    job: Annotated[int | None, Field(description="None where it is free, or the job is another organization's.")]
    memory_free: int | None
    memory_total: int | None


class WorkerOut(Schema):
    name: str
    host: str
    version: str
    state: Annotated[str, Field(description="free, busy, draining, drained or away")]
    queues: list[str]
    memory_free: Annotated[int | None, Field(description="Bytes of the machine's memory.")]
    memory_total: int | None
    seen_at: datetime
    slots: list[SlotOut]


class Workers(Page):
    items: list[WorkerOut]


@router.get("/workers", response=Workers, url_name="worker-list")
def worker_list(request: HttpRequest) -> Any:
    """The workers of the last day, those that run first."""
    return {"items": [_out(one) for one in workers_seen(caller_of(request).user)]}


def _out(one: WorkerSeen) -> dict[str, Any]:
    worker = one.worker
    same = {
        name: getattr(worker, name) for name in ("name", "host", "version", "memory_free", "memory_total", "seen_at")
    }
    queues = worker.queues.split(",") if worker.queues else []
    return {**same, "state": one.state, "queues": queues, "slots": [_slot_out(slot) for slot in one.shown]}


def _slot_out(seen: SlotSeen) -> dict[str, Any]:
    slot, job = seen.slot, seen.job.pk if seen.job and seen.link else None
    same = {name: getattr(slot, name) for name in ("device", "label", "memory_free", "memory_total")}
    return {**same, "taken": seen.taken, "job": job}
