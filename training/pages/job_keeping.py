"""The job page's buttons that put a job away, delete it and tag it."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from training.jobs import keeping
from training.jobs.bulk import Bulk, Outcome
from training.jobs.tags import job_tags_set, tags_clean
from training.jobs.transition import NotAllowed
from training.models import TrainingJob
from training.pages.doors import job_or_404, person, signed_in
from training.pages.outcomes import outcomes_tell
from training.people.roles import Action, allowed, require


@require_POST
@signed_in
def job_archive(request: HttpRequest, job_id: int) -> HttpResponseBase:
    return _change(request, job_id, Action.ARCHIVE_JOB, Bulk.ARCHIVE, keeping.job_archive)


@require_POST
@signed_in
def job_unarchive(request: HttpRequest, job_id: int) -> HttpResponseBase:
    return _change(request, job_id, Action.ARCHIVE_JOB, Bulk.UNARCHIVE, keeping.job_unarchive)


@require_POST
@signed_in
def job_delete(request: HttpRequest, job_id: int) -> HttpResponseBase:
    """To the list, where a button brings it back; one that runs is kept, and its page says why."""
    user = person(request)
    return _change(request, job_id, Action.DELETE_JOB, Bulk.DELETE, lambda job: keeping.job_delete(job, user))


@require_POST
@signed_in
def job_tags(request: HttpRequest, job_id: int) -> HttpResponseBase:
    """Give the job the tags in the form, and no others."""
    job = job_or_404(request, job_id)
    require(person(request), Action.TAG_JOB, job)
    try:
        job_tags_set(job, tags_clean(request.POST.get("tags", "").replace("\x00", "")))
    except ValidationError as error:
        messages.warning(request, " ".join(error.messages))
    except NotAllowed as error:
        messages.warning(request, str(error))
    return redirect("job-page", job_id=job_id)


def rights_to_keep(request: HttpRequest, job: TrainingJob) -> dict[str, bool]:
    """Whether this person may archive and delete the job now, for its actions."""
    user = person(request)
    return {
        "can_archive": not keeping.archiving_refusal(job) and allowed(user, Action.ARCHIVE_JOB, job),
        "can_delete": not keeping.deletion_refusal(job) and allowed(user, Action.DELETE_JOB, job),
    }


def job_keeping(request: HttpRequest, job: TrainingJob) -> dict[str, Any]:
    """The job's tags, and whether this person may change them."""
    tags = list(job.tags.values_list("name", flat=True))
    return {"tags": tags, "can_tag": allowed(person(request), Action.TAG_JOB, job)}


def _change(
    request: HttpRequest, job_id: int, action: Action, verb: Bulk, change: Callable[[TrainingJob], Any]
) -> HttpResponseBase:
    job = job_or_404(request, job_id)
    require(person(request), action, job)
    try:
        change(job)
    except NotAllowed as error:  # it was started again meanwhile, or somebody else deleted it
        outcomes_tell(request, verb, [Outcome(job, str(error))])
        return redirect("job-page", job_id=job_id)
    outcomes_tell(request, verb, [Outcome(job)])
    return redirect("job-list") if verb == Bulk.DELETE else redirect("job-page", job_id=job_id)
