"""The web pages of projects: the list, and a project with its experiments and their jobs."""

from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from training.jobs.selectors import job_rows, jobs_visible
from training.models import Project
from training.pages.doors import person, signed_in
from training.people.roles import Action, allowed, organizations_where
from training.projects import services
from training.projects.selectors import (
    experiments_starred,
    jobs_starred,
    project_experiments,
    project_list,
    project_tags,
    projects_visible,
)

ROWS = 50
STARRED = 12


@require_GET
@signed_in
def project_index(request: HttpRequest) -> HttpResponseBase:
    user, archived = person(request), "archived" in request.GET
    page = Paginator(project_list(user, archived), ROWS).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "total": page.paginator.count,
        "archived": archived,
        "query": "archived=1&" if archived else "",
        "any_archived": archived or projects_visible(user).filter(archived_at__isnull=False).exists(),
        "experiments_starred": [] if archived else experiments_starred(user, STARRED),
        "jobs_starred": [] if archived else job_rows(jobs_starred(user, STARRED)),
        "can_create": bool(organizations_where(user, Action.CREATE_JOB)),
        "can_manage": bool(organizations_where(user, Action.MANAGE_PROJECTS)),
    }
    return render(request, "training/project_list.html", context)


@require_GET
@signed_in
def project_page(request: HttpRequest, project_id: int) -> HttpResponseBase:
    """A project: its experiments, those with a tag if the address names one, and its jobs but the archived ones."""
    user = person(request)
    project = project_or_404(request, project_id)
    if "experiment" in request.GET:  # where an experiment was shown before it had a page
        return _experiment_page(project, request.GET["experiment"])
    archived, tag = "archived" in request.GET, request.GET.get("tag", "")[: services.TAG_LENGTH].replace("\x00", "")
    experiments = project_experiments(project, user, archived, tag)
    jobs = jobs_visible(user).filter(experiment__project=project, archived_at=None)
    page = Paginator(jobs.filter(experiment__in=experiments.values("pk")) if tag or archived else jobs, ROWS)
    context = {
        "project": project,
        "experiments": list(experiments[: 4 * ROWS]),
        "tags": project_tags(project),
        "tag": tag,
        "archived": archived,
        "any_archived": archived or project.experiments.filter(archived_at__isnull=False).exists(),
        "page": (shown := page.get_page(request.GET.get("page"))),
        "rows": job_rows(list(shown.object_list)),
        "total": page.count,
        "query": "".join(f"{urlencode({name: value})}&" for name, value in _filters(archived, tag)),
        "can_create": not project.archived_at and allowed(user, Action.CREATE_JOB, project),
        "can_create_experiment": not project.archived_at and allowed(user, Action.CREATE_EXPERIMENT, project),
        "can_manage": allowed(user, Action.MANAGE_PROJECTS, project),
        "new_job": urlencode({"organization": project.organization_id, "project": project.name}),
    }
    return render(request, "training/project_page.html", context)


def project_or_404(request: HttpRequest, project_id: int) -> Project:
    """The project with what is in it, if this person may see it; another organization's is no different from none."""
    project: Project | None = project_list(person(request)).filter(pk=project_id).first()
    if project is None:
        raise Http404("No such project.")
    return project


def _experiment_page(project: Project, number: str) -> HttpResponseBase:
    known = number.isascii() and number.isdigit() and len(number) < 19
    if not known or not project.experiments.filter(pk=int(number)).exists():
        raise Http404("No such experiment.")
    return redirect("experiment-page", experiment_id=int(number))


def _filters(archived: bool, tag: str) -> list[tuple[str, str]]:
    return [(name, value) for name, value in (("archived", "1" if archived else ""), ("tag", tag)) if value]
