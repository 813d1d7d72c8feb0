"""REST: a job's deliveries, tried again and backfilled. `platform_site.urls` hangs it into the API."""

from datetime import datetime
from typing import Annotated, Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from observability.models import Delivery
from observability.registry import configured
from observability.requests import deliveries_retry, jobs_backfill
from observability.selectors import LedgerRow, ledger_rows
from training.api.problems import Refusal
from training.api.rest_pages import caller_of, one_of
from training.jobs.selectors import jobs_visible
from training.models import TrainingJob
from training.people.roles import Action, allowed

router = Router(tags=["deliveries"])


class DeliveryOut(Schema):
    backend: Annotated[str, Field(examples=["mlflow"])]
    label: Annotated[str, Field(examples=["MLflow"])]
    state: Annotated[str | None, Field(description="Null where it is not told.", examples=["active"])]
    pending: Annotated[int, Field(description="Records that it has not got yet.", examples=[0])]
    lag: Annotated[float | None, Field(description="Age of the oldest of them, in seconds.")]
    link: Annotated[str, Field(description="The experiment's address there.")]
    note: str
    failures: Annotated[int, Field(description="Calls that failed since the last one that did not.", examples=[0])]
    last_error: str
    next_try_at: datetime | None


class Deliveries(Schema):
    items: list[DeliveryOut]


@router.get("/jobs/{int:job_id}/deliveries", response=Deliveries, url_name="job-deliveries")
def deliveries(request: HttpRequest, job_id: int) -> Any:
    """How far each tracking tool has heard of a job."""
    return _told(_job(request, job_id))


@router.post("/jobs/{int:job_id}/deliveries/{str:backend}/retry", response=Deliveries, url_name="delivery-retry")
def delivery_retry(request: HttpRequest, job_id: int, backend: str) -> Any:
    """Try a waiting or paused delivery again, at once."""
    job = _engineers_job(request, job_id)
    found = Delivery.objects.filter(job=job, backend=backend)
    if not found:
        raise Refusal(404, "There is no such delivery.")
    deliveries_retry(found)
    return _told(job)


@router.post("/jobs/{int:job_id}/deliveries/{str:backend}/backfill", response=Deliveries, url_name="delivery-backfill")
def delivery_backfill(request: HttpRequest, job_id: int, backend: str) -> Any:
    """Tell a tracking tool everything of a job that was not meant for it."""
    job = _engineers_job(request, job_id)
    if backend not in configured():
        raise Refusal(404, "There is no such backend.")
    jobs_backfill([job], backend)
    return _told(job)


def _job(request: HttpRequest, job_id: int) -> TrainingJob:
    caller = caller_of(request)
    job: TrainingJob = one_of(jobs_visible(caller.user, caller.organization_id), job_id)
    return job


def _engineers_job(request: HttpRequest, job_id: int) -> TrainingJob:
    job = _job(request, job_id)
    if not allowed(caller_of(request).user, Action.CANCEL_JOB, job):
        raise PermissionDenied("Your role does not allow you to change this job's deliveries.")
    return job


def _told(job: TrainingJob) -> dict[str, Any]:
    return {"items": [_out(row) for row in ledger_rows(job)]}


def _out(row: LedgerRow) -> dict[str, Any]:
    one = row.delivery
    same = {name: getattr(row, name) for name in ("backend", "label", "state", "pending", "lag", "link", "note")}
    if one is None:
        return same | {"failures": 0, "last_error": "", "next_try_at": None}
    return same | {"failures": one.error_count, "last_error": one.last_error, "next_try_at": one.next_try_at}
