"""Who may come in: what every page and fragment checks first."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from training.jobs.selectors import jobs_visible
from training.models import Organization, TrainingJob, User
from training.people.limits import TooMany
from training.people.selectors import organizations_visible

Rest = ParamSpec("Rest")
View = Callable[Concatenate[HttpRequest, Rest], HttpResponseBase]


def signed_in(view: View[Rest]) -> View[Rest]:
    """Strangers are sent to sign in; their scripts are told 401, so that no fragment becomes a sign-in page."""

    @wraps(view)
    def inner(request: HttpRequest, *args: Rest.args, **kwargs: Rest.kwargs) -> HttpResponseBase:
        if request.user.is_authenticated:
            return view(request, *args, **kwargs)
        if request.headers.get("HX-Request") or "text/html" not in request.headers.get("Accept", "text/html"):
            return HttpResponse("Not signed in.", status=401, content_type="text/plain")
        return redirect_to_login(request.get_full_path())

    return inner


def person(request: HttpRequest) -> User:
    """Who is signed in; only for views behind `signed_in`."""
    assert isinstance(request.user, User)
    return request.user


def limited(view: View[Rest]) -> View[Rest]:
    """Who tries too often is told to wait, and for how long."""

    @wraps(view)
    def inner(request: HttpRequest, *args: Rest.args, **kwargs: Rest.kwargs) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except TooMany as error:
            minutes = -(-error.seconds // 60)
            response = render(request, "429.html", {"minutes": minutes}, status=429)
            response["Retry-After"] = str(error.seconds)
            return response

    return inner


def organization_or_404(request: HttpRequest, organization_id: int) -> Organization:
    """The organization, if this person belongs to it; another is no different from none."""
    found = organizations_visible(request.user).filter(pk=organization_id).first()
    if found is None:
        raise Http404("No such organization.")
    return found


def job_or_404(request: HttpRequest, job_id: int) -> TrainingJob:
    """The job, if this person may see it; another organization's is no different from none."""
    job: Any = jobs_visible(request.user).filter(pk=job_id).first()
    if job is None:
        raise Http404("No such job.")
    return job
