"""The web page of a job, its fragments and its cancel button."""

import json
import time
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from training.jobs import services
from training.jobs.line_counts import line_sources
from training.jobs.lineage import job_differences, job_parent
from training.jobs.lines import LineFilter, Place, line_window
from training.jobs.news import Parts, news_context
from training.jobs.resume import weights_continuable, weights_of
from training.jobs.states import ENDED
from training.jobs.transition import NotAllowed
from training.models import Checkpoint, JobState, TrainingJob
from training.pages.doors import job_or_404, person, signed_in
from training.pages.job_again import rights_to_run
from training.pages.job_keeping import job_keeping, rights_to_keep
from training.pages.job_log import log_context
from training.pages.notes import job_noted
from training.people.roles import Action, allowed, require
from training.projects.chart_layout import chart_layout_of
from training.projects.stars import star_given


@require_GET
@signed_in
def job_page(request: HttpRequest, job_id: int) -> HttpResponseBase:
    """The whole page; its numbers reach at least to `seq`, from where the socket goes on."""
    job = job_or_404(request, job_id)
    context = news_context(job_id, Parts.all())
    window = line_window(job_id, LineFilter())
    context |= log_context(job, LineFilter()) | {"window": window, "sources": line_sources(job_id)}
    context |= _rights(request, job) | {"settings": sorted(job.config.items()), "now": time.time()}
    context |= job_keeping(request, job) | job_noted(request, job)
    parent = job_parent(request.user, job)
    context |= {"starred": star_given(person(request), job), "parent": parent}
    context |= {"parent_differences": job_differences(parent, job) if parent else []}
    context["layout"] = json.dumps(chart_layout_of(person(request), job.experiment.project))
    return render(request, "training/job_page.html", context)


@require_GET
@signed_in
def job_news(request: HttpRequest, job_id: int) -> HttpResponseBase:
    """What changed past `after`, for pages without a socket: the same fragments that a socket is sent."""
    job_or_404(request, job_id)
    place = Place.read(request.GET.get("after", ""))
    context = news_context(job_id, Parts.all(), place.seq if place else None)
    response = render(request, "training/_news.html", context | {"pushed": True})
    response["X-Journal-Seq"] = str(context["seq"])
    response["Cache-Control"] = "no-store"
    return response


@require_GET
@signed_in
def job_actions(request: HttpRequest, job_id: int) -> HttpResponseBase:
    """What this person may do with the job now; the page asks again whenever its state changes."""
    job = job_or_404(request, job_id)
    return render(request, "training/_actions.html", {"job": job, **_rights(request, job)})


@require_POST
@signed_in
def job_cancel(request: HttpRequest, job_id: int) -> HttpResponseBase:
    job = job_or_404(request, job_id)
    user = person(request)
    require(user, Action.CANCEL_JOB, job)
    try:
        services.job_cancel(job, user)
    except NotAllowed as error:  # it ended meanwhile
        messages.warning(request, str(error))
    return redirect("job-page", job_id=job_id)


def _rights(request: HttpRequest, job: TrainingJob) -> dict[str, Any]:
    """What this person may do with the job now."""
    return {
        "can_cancel": _can_cancel(request, job),
        "keeps": _kept(request, job),
        **rights_to_run(request, job),
        **rights_to_keep(request, job),
    }


def _kept(request: HttpRequest, job: TrainingJob) -> Checkpoint | None:
    """The checkpoint of a completed job that this person may keep as weights."""
    if not weights_continuable(job) or not allowed(person(request), Action.UPLOAD_WEIGHTS, job):
        return None
    return weights_of(job, "best")


def _can_cancel(request: HttpRequest, job: TrainingJob) -> bool:
    closed = {*ENDED, JobState.DRAFT, JobState.CANCELLING}
    return job.state not in closed and allowed(person(request), Action.CANCEL_JOB, job)
