"""The page of a job's checkpoints: the room they take, how long they stay, and a way to delete them."""

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_POST

from training.jobs.states import ENDED
from training.jobs.transition import NotAllowed
from training.models import Checkpoint
from training.pages.doors import job_or_404, organization_or_404, person, signed_in
from training.people.roles import Action, allowed, require
from training.retention import MOST, checkpoint_delete, keeping_of, organization_keep


class KeepingForm(forms.Form):
    """How many periodic checkpoints stay, and for how long all of them do."""

    use_required_attribute = False
    keep_epochs = forms.IntegerField(
        min_value=0,
        max_value=MOST,
        widget=forms.TextInput({"inputmode": "numeric"}),
        label=_("Periodic checkpoints that stay"),
        help_text=_(
            "Of each job the newest so many; a project may have a number of its own. Best and last always stay."
        ),
    )
    keep_epochs_days = forms.IntegerField(
        min_value=0,
        max_value=MOST,
        widget=forms.TextInput({"inputmode": "numeric"}),
        label=_("Days after a job's end"),
        help_text=_("For so long all of them stay."),
    )


@require_GET
@signed_in
def job_checkpoints(request: HttpRequest, job_id: int) -> HttpResponseBase:
    job = job_or_404(request, job_id)
    rows = list(job.checkpoints.select_related("attempt"))
    context = {
        "job": job,
        "checkpoints": rows,
        "total": sum(row.size for row in rows),
        "keeping": keeping_of(job.experiment.project),
        "ended": job.state in ENDED,
        "can_delete": job.state in ENDED and allowed(person(request), Action.DELETE_CHECKPOINT, job),
    }
    return render(request, "training/job_checkpoints.html", context)


@require_POST
@signed_in
def checkpoint_remove(request: HttpRequest, checkpoint_id: int) -> HttpResponseBase:
    rows = Checkpoint.objects.visible_to(request.user).select_related("job__experiment__project")
    checkpoint = rows.filter(pk=checkpoint_id).first()
    if checkpoint is None:
        raise Http404("No such checkpoint.")
    require(person(request), Action.DELETE_CHECKPOINT, checkpoint.job)
    try:
        checkpoint_delete(checkpoint, by=person(request))
        messages.success(request, gettext("The checkpoint was deleted."))
    except NotAllowed as refusal:
        messages.warning(request, gettext("It was not deleted. %(refusal)s") % {"refusal": refusal})
    return redirect("job-checkpoints", job_id=checkpoint.job_id)


@require_POST
@signed_in
def organization_keeping(request: HttpRequest, organization_id: int) -> HttpResponseBase:
    """Say how long the organization keeps periodic checkpoints."""
    organization = organization_or_404(request, organization_id)
    require(person(request), Action.MANAGE_ORGANIZATION, organization)
    form = KeepingForm(request.POST)
    if form.is_valid():
        organization_keep(
            organization, form.cleaned_data["keep_epochs"], form.cleaned_data["keep_epochs_days"], by=person(request)
        )
        messages.success(request, gettext("Saved: maintenance follows it from its next turn on."))
    else:
        messages.warning(request, " ".join(str(error) for errors in form.errors.values() for error in errors))
    return redirect("organization-page", organization_id=organization.pk)
