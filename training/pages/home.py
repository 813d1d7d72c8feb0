"""The first page: how things stand, or for those who have just begun, what to do first."""

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET

from training.disks import disk_uses
from training.jobs.dashboard import dashboard, first_steps
from training.pages.doors import person, signed_in
from training.people.roles import Action, organizations_where


@require_GET
@signed_in
def home(request: HttpRequest) -> HttpResponseBase:
    """The page, which asks again for what may have changed."""
    user = person(request)
    context = {"board": dashboard(user), "disks": disk_uses()}
    if request.headers.get("HX-Request"):
        response = render(request, "training/_home_live.html", context)
        response["Cache-Control"] = "no-store"
        return response
    steps = first_steps(user)
    importing = [] if steps["datasets"] else organizations_where(user, Action.IMPORT_DATASET)
    context |= {"steps": steps, "organization": next(iter(importing), None)}
    context["can_create"] = bool(organizations_where(user, Action.CREATE_JOB))
    return render(request, "training/home.html", context)
