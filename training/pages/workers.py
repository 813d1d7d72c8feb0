"""The page of the machines: workers, their slots, what runs on each, and what waits."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from training.jobs.draining import worker_drain, worker_undrain
from training.jobs.waiting import jobs_waiting, sees_everything, workers_seen
from training.models import Worker
from training.pages.doors import person, signed_in


@require_GET
@signed_in
def worker_list(request: HttpRequest) -> HttpResponseBase:
    """For everybody: the machines are shared, so is the page; jobs are named to their own organization."""
    user = person(request)
    workers = workers_seen(user)
    context = {
        "workers": workers,
        "waiting": jobs_waiting(user, workers),
        "alive": sum(one.alive for one in workers),
        "free": sum(one.free for one in workers if one.alive and not one.draining),
        "can_drain": sees_everything(user),
    }
    response = render(request, "training/workers.html", context)
    response["Cache-Control"] = "no-store"
    return response


@require_POST
@signed_in
def drain(request: HttpRequest, worker_id: int) -> HttpResponseBase:
    worker = _worker(request, worker_id)
    worker_drain(worker)
    messages.success(request, gettext("%(worker)s finishes what it runs and takes no more jobs.") % {"worker": worker})
    return redirect("worker-list")


@require_POST
@signed_in
def undrain(request: HttpRequest, worker_id: int) -> HttpResponseBase:
    worker = _worker(request, worker_id)
    worker_undrain(worker)
    messages.success(request, gettext("%(worker)s takes jobs again.") % {"worker": worker})
    return redirect("worker-list")


def _worker(request: HttpRequest, worker_id: int) -> Worker:
    """The worker, for those who look after the machines: they are no organization's."""
    if not sees_everything(person(request)):
        raise PermissionDenied(gettext("Only administrators of the site may do that to a worker."))
    worker = Worker.objects.filter(pk=worker_id).first()
    if worker is None:
        raise Http404("No such worker.")
    return worker
