"""The ledger: part of the job page by its own address, a page for who has no scripts, and its two buttons."""

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from observability.models import Delivery
from observability.registry import configured
from observability.requests import deliveries_retry, jobs_backfill
from observability.selectors import ledger_rows
from training.jobs.states import ENDED
from training.models import TrainingJob
from training.pages.doors import job_or_404, person, signed_in
from training.people.roles import Action, allowed


@require_GET
@signed_in
def deliveries(request: HttpRequest, job_id: int) -> HttpResponseBase:
    """The panel; it asks again by itself while something may still change."""
    return _panel(request, job_or_404(request, job_id))


@require_POST
@signed_in
def delivery_retry(request: HttpRequest, job_id: int, backend: str) -> HttpResponseBase:
    """Try a waiting or paused delivery again, at once."""
    job = _engineers_job(request, job_id)
    found = Delivery.objects.filter(job=job, backend=backend)
    if not found:
        raise Http404("No such delivery.")
    deliveries_retry(found)
    return _done(request, job)


@require_POST
@signed_in
def delivery_backfill(request: HttpRequest, job_id: int, backend: str) -> HttpResponseBase:
    """Tell a backend everything of a job that was not meant for it."""
    job = _engineers_job(request, job_id)
    if backend not in configured():
        raise Http404("No such backend.")
    jobs_backfill([job], backend)
    return _done(request, job)


def _engineers_job(request: HttpRequest, job_id: int) -> TrainingJob:
    job = job_or_404(request, job_id)
    if not allowed(person(request), Action.CANCEL_JOB, job):
        raise PermissionDenied(gettext("Your role does not allow to change this job's deliveries."))
    return job


def _done(request: HttpRequest, job: TrainingJob) -> HttpResponseBase:
    return _panel(request, job) if request.headers.get("HX-Request") else redirect("job-page", job_id=job.pk)


def _panel(request: HttpRequest, job: TrainingJob) -> HttpResponse:
    rows = ledger_rows(job)
    live = job.state not in ENDED or any(row.live for row in rows)
    context = {"job": job, "rows": rows, "live": live, "may_change": allowed(person(request), Action.CANCEL_JOB, job)}
    template = "_deliveries.html" if request.headers.get("HX-Request") else "deliveries.html"
    response = render(request, f"observability/{template}", context)
    response["Cache-Control"] = "no-store"
    return response
