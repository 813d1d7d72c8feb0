"""The page of pretrained weights: the list, the form whose script uploads over REST, deletion, keeping a checkpoint."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from training.models import Checkpoint, PretrainedWeights
from training.pages.doors import person, signed_in
from training.people.roles import Action, allowed_each, organizations_where, require
from training.storage.store import ObjectMissing
from training.weights import (
    WeightsInUse,
    endings_known,
    frameworks_known,
    weights_delete,
    weights_of_checkpoint,
    weights_visible,
)

ROWS = 50


@require_GET
@signed_in
def weights_index(request: HttpRequest) -> HttpResponseBase:
    user = person(request)
    page = Paginator(weights_visible(user).annotate(job_count=Count("jobs")), ROWS).get_page(request.GET.get("page"))
    shown = list(page.object_list)
    context = {
        "page": page,
        "total": page.paginator.count,
        "rows": list(zip(shown, allowed_each(user, Action.DELETE_WEIGHTS, shown), strict=True)),
        "organizations": organizations_where(user, Action.UPLOAD_WEIGHTS),
        "choices": [(framework, task) for framework, tasks in frameworks_known().items() for task in tasks],
        "endings": ",".join(endings_known()),
    }
    return render(request, "training/weights_list.html", context)


@require_POST
@signed_in
def weights_remove(request: HttpRequest, weights_id: int) -> HttpResponseBase:
    weights: PretrainedWeights | None = weights_visible(request.user).filter(pk=weights_id).first()
    if weights is None:
        raise Http404("No such weights.")
    require(person(request), Action.DELETE_WEIGHTS, weights)
    try:
        weights_delete(weights)
    except WeightsInUse as refusal:
        messages.warning(request, str(refusal))
    else:
        messages.success(request, gettext("%(name)s was deleted.") % {"name": weights.name})
    return redirect("weights-list")


@require_POST
@signed_in
def checkpoint_keep(request: HttpRequest, checkpoint_id: int) -> HttpResponseBase:
    """Keep a copy of a checkpoint among the weights, under a name that tells where it comes from."""
    checkpoints = Checkpoint.objects.visible_to(request.user)
    checkpoint = checkpoints.select_related("job__experiment__project__organization").filter(pk=checkpoint_id).first()
    if checkpoint is None:
        raise Http404("No such checkpoint.")
    job, user = checkpoint.job, person(request)
    require(user, Action.UPLOAD_WEIGHTS, job)
    try:
        weights = weights_of_checkpoint(checkpoint, user, f"{job.name[:90]} #{job.pk} {checkpoint.kind}")
    except ObjectMissing:
        messages.warning(request, gettext("The checkpoint's file is gone."))
    except ValidationError as error:
        messages.warning(request, " ".join(error.messages))
    else:
        messages.success(request, gettext("%(name)s was kept: new jobs can begin from it.") % {"name": weights.name})
        return redirect("weights-list")
    return redirect("job-page", job_id=job.pk)
