"""The buttons that run a job again: from its last checkpoint, from the beginning, or with a setting mended."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from training.jobs import services
from training.jobs.failures import mending_of
from training.jobs.resume import checkpoint_resumable, weights_continuable, weights_of
from training.jobs.transition import NotAllowed
from training.models import JobState, TrainingJob
from training.pages.doors import job_or_404, person, signed_in
from training.people.roles import Action, allowed, require

RESTARTED = (JobState.FAILED, JobState.CANCELLED)


@require_POST
@signed_in
def job_restart(request: HttpRequest, job_id: int) -> HttpResponseBase:
    """Run a failed or cancelled job again: `from` its `last` checkpoint, or the beginning; with `mend`, mended."""
    job, user = job_or_404(request, job_id), person(request)
    require(user, Action.RESTART_JOB, job)
    source = services.LAST if request.POST.get("from") == services.LAST else services.BEGINNING
    mending = mending_of(job) if request.POST.get("mend") else None
    try:
        if job.state not in RESTARTED:
            raise NotAllowed(
                gettext("A job that is %(label)s can't be restarted.") % {"label": JobState(job.state).label.lower()}
            )
        if mending is not None:  # nothing that was reached is given away for it
            source = services.LAST if checkpoint_resumable(job) else services.BEGINNING
        services.job_restart(job, user, source, mending.changes if mending else None)
    except NotAllowed as error:  # somebody else restarted it, or there is nothing to resume from
        messages.warning(request, str(error))
    except ValidationError as error:
        messages.warning(request, " ".join(error.messages))
    return redirect("job-page", job_id=job_id)


def rights_to_run(request: HttpRequest, job: TrainingJob) -> dict[str, Any]:
    """Whether and from where this person may restart, clone and continue the job now, for its actions."""
    user = person(request)
    can_restart = job.state in RESTARTED and not hasattr(job, "imported") and allowed(user, Action.RESTART_JOB, job)
    can_clone = allowed(user, Action.CREATE_JOB, job)
    resumable = checkpoint_resumable(job) if can_restart else None
    mending = mending_of(job) if can_restart else None
    return {
        "can_restart": can_restart,
        "resumable": resumable,
        "mending": mending,
        "first_choice": not resumable and not mending,
        "can_clone": can_clone,
        "continued": _weights_offered(job) if can_clone else None,
    }


def _weights_offered(job: TrainingJob) -> Any:
    """The weights that a new job would continue from: the best, or else the last."""
    if not weights_continuable(job):
        return None
    return weights_of(job, "best") or weights_of(job, "last")
