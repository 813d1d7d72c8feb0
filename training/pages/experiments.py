"""The web pages of experiments: the jobs side by side, tags, stars, archive. Their notes: `notes`."""

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from training.jobs.selectors import jobs_visible
from training.models import Experiment
from training.pages.doors import job_or_404, person, signed_in
from training.pages.fields import errors_put
from training.pages.projects import project_or_404
from training.people.roles import Action, allowed, require
from training.projects import services
from training.projects.results import ordered_by_best, results_of
from training.projects.selectors import experiment_find
from training.projects.stars import jobs_starred, star_given, star_set
from training.templatetags.text import plain_text

ROWS = 50


class ExperimentForm(forms.Form):
    """An experiment's name and tags; limits are the service's."""

    use_required_attribute = False
    name = forms.CharField(
        label=_("Name"), max_length=services.NAME_LENGTH, widget=forms.TextInput({"autocomplete": "off"})
    )
    tags = forms.CharField(
        label=_("Tags"),
        required=False,
        max_length=1000,
        help_text=_("Words by which it is found, with commas between them."),
        widget=forms.TextInput({"autocomplete": "off"}),
    )


@require_GET
@signed_in
def experiment_page(request: HttpRequest, experiment_id: int) -> HttpResponseBase:
    """An experiment with its notes and its jobs, the newest or the best first; the archived ones on wish."""
    user, experiment = person(request), experiment_or_404(request, experiment_id)
    every = jobs_visible(user).filter(experiment=experiment)
    put_away = every.filter(archived_at__isnull=False).count()
    archived = bool(put_away) and "archived" in request.GET
    jobs = every.filter(archived_at__isnull=not archived)
    sort = "best" if request.GET.get("sort") == "best" else "newest"
    page = Paginator(ordered_by_best(jobs) if sort == "best" else jobs, ROWS).get_page(request.GET.get("page"))
    shown, project = list(page.object_list), experiment.project
    names = {"organization": project.organization_id, "project": project.name, "experiment": experiment.name}
    open_for_jobs = not (experiment.archived_at or project.archived_at)
    context = {
        "experiment": experiment,
        "noted": experiment,
        "notes_address": reverse("experiment-notes", args=[experiment.pk]),
        "can_note": allowed(user, Action.EDIT_EXPERIMENT, experiment),
        "results": results_of(shown),
        "starred_jobs": jobs_starred(user, shown),
        "starred": star_given(user, experiment),
        "page": page,
        "total": page.paginator.count,
        "sort": sort,
        "query": ("archived=1&" if archived else "") + ("sort=best&" if sort == "best" else ""),
        "archived": archived,
        "put_away": put_away,
        "can_edit": allowed(user, Action.EDIT_EXPERIMENT, experiment),
        "can_archive": allowed(user, Action.ARCHIVE_EXPERIMENT, experiment),
        "can_create": open_for_jobs and allowed(user, Action.CREATE_JOB, experiment),
        "new_job": urlencode(names),
    }
    return render(request, "training/experiment_page.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def experiment_new(request: HttpRequest, project_id: int) -> HttpResponseBase:
    project, user = project_or_404(request, project_id), person(request)
    require(user, Action.CREATE_EXPERIMENT, project)
    form = ExperimentForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = services.experiment_create(project, form.cleaned_data["name"], _tags(form), by=user)
            return redirect("experiment-page", experiment_id=made.pk)
        except ValidationError as error:
            errors_put(form, error)
    context = {
        "form": form,
        "title": gettext("New experiment"),
        "button": gettext("Create experiment"),
        "project": project,
    }
    return render(request, "training/form_page.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def experiment_edit(request: HttpRequest, experiment_id: int) -> HttpResponseBase:
    experiment = _editable(request, experiment_id)
    tags = ", ".join(tag.name for tag in experiment.tags.all())
    form = ExperimentForm(request.POST or None, initial={"name": experiment.name, "tags": tags})
    if request.method == "POST" and form.is_valid():
        try:
            services.experiment_edit(experiment, form.cleaned_data["name"], _tags(form), by=person(request))
            return redirect("experiment-page", experiment_id=experiment_id)
        except ValidationError as error:
            errors_put(form, error)
    context = {
        "form": form,
        "title": gettext("Edit experiment"),
        "button": gettext("Save"),
        "project": experiment.project,
    }
    context["experiment"] = experiment_find(person(request), experiment_id)
    return render(request, "training/form_page.html", context, status=422 if form.errors else 200)


@require_POST
@signed_in
def experiment_archive(request: HttpRequest, experiment_id: int) -> HttpResponseBase:
    """Archive the experiment, or bring it back with `archived=no`."""
    experiment = experiment_or_404(request, experiment_id)
    require(person(request), Action.ARCHIVE_EXPERIMENT, experiment)
    archived = request.POST.get("archived") != "no"
    services.experiment_archive(experiment, archived, by=person(request))
    name = plain_text(experiment.name)
    messages.success(
        request,
        gettext("%(name)s is archived: it takes no new jobs.") % {"name": name}
        if archived
        else gettext("%(name)s is back.") % {"name": name},
    )
    return redirect("experiment-page", experiment_id=experiment_id)


@require_POST
@signed_in
def experiment_star(request: HttpRequest, experiment_id: int) -> HttpResponseBase:
    return _star(request, experiment_or_404(request, experiment_id), "experiment")


@require_POST
@signed_in
def job_star(request: HttpRequest, job_id: int) -> HttpResponseBase:
    return _star(request, job_or_404(request, job_id), "job")


def experiment_or_404(request: HttpRequest, experiment_id: int) -> Experiment:
    """The experiment, if this person may see it; another organization's is no different from none."""
    experiment = experiment_find(request.user, experiment_id)
    if experiment is None:
        raise Http404("No such experiment.")
    return experiment


def _editable(request: HttpRequest, experiment_id: int) -> Experiment:
    experiment = experiment_or_404(request, experiment_id)
    require(person(request), Action.EDIT_EXPERIMENT, experiment)
    return experiment


def _star(request: HttpRequest, what: Any, noun: str) -> HttpResponseBase:
    """Set or take the star: the button alone for htmx, else back to where the person was."""
    starred = request.POST.get("starred") != "no"
    star_set(person(request), what, starred)
    if request.headers.get("HX-Request"):
        context = {"address": reverse(f"{noun}-star", args=[what.pk]), "starred": starred, "noun": noun}
        return render(request, "training/_star.html", context)
    there = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(there, {request.get_host()}, request.is_secure()):
        there = reverse(f"{noun}-page", args=[what.pk])
    return redirect(there)


def _tags(form: ExperimentForm) -> list[str]:
    said: str = form.cleaned_data["tags"]
    return said.replace("\n", ",").split(",")
