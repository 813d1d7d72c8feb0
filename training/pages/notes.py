"""The pages on which notes on experiments and jobs are written: nobody overwrites what he has not read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from training.models import TrainingJob, User
from training.pages.doors import job_or_404, person, signed_in
from training.pages.experiments import experiment_or_404
from training.pages.fields import errors_put
from training.people.roles import Action, allowed, require
from training.projects.notes import (
    NOTES_LENGTH,
    Noted,
    NotesChanged,
    experiment_notes_write,
    job_notes,
    job_notes_write,
)


class NotesForm(forms.Form):
    """The notes, and which version of them was read."""

    use_required_attribute = False
    notes = forms.CharField(
        label=_("Notes"),
        required=False,
        strip=False,
        max_length=NOTES_LENGTH + 1000,
        widget=forms.Textarea({"rows": 16, "class": "mono"}),
        help_text=_("Markdown: # heading, **bold**, - list, [text](https://…), `code`, | tables |."),
    )
    version = forms.IntegerField(min_value=0, max_value=2**31 - 1, widget=forms.HiddenInput)


@dataclass(frozen=True, slots=True)
class Writing:
    """What is written about: its notes as they are, how they are replaced, and its page."""

    noted: Noted
    write: Callable[[str, int, User], Any]
    page: str
    crumbs: list[tuple[str, str]]


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def experiment_notes(request: HttpRequest, experiment_id: int) -> HttpResponseBase:
    experiment = experiment_or_404(request, experiment_id)
    require(person(request), Action.EDIT_EXPERIMENT, experiment)
    page, project = reverse("experiment-page", args=[experiment_id]), experiment.project
    crumbs = [(reverse("project-page", args=[project.pk]), project.name), (page, experiment.name)]
    return _written(request, Writing(experiment, lambda *said: experiment_notes_write(experiment, *said), page, crumbs))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def job_notes_page(request: HttpRequest, job_id: int) -> HttpResponseBase:
    job = job_or_404(request, job_id)
    require(person(request), Action.NOTE_JOB, job)
    page, experiment = reverse("job-page", args=[job_id]), job.experiment
    crumbs = [(reverse("experiment-page", args=[experiment.pk]), experiment.name), (page, job.name)]
    return _written(request, Writing(job_notes(job), lambda *said: job_notes_write(job, *said), page, crumbs))


def job_noted(request: HttpRequest, job: TrainingJob) -> dict[str, Any]:
    """The notes as the job's page shows them, and whether this person may write there."""
    return {
        "noted": job_notes(job),
        "notes_address": reverse("job-notes", args=[job.pk]),
        "can_note": allowed(person(request), Action.NOTE_JOB, job),
    }


def _written(request: HttpRequest, writing: Writing) -> HttpResponseBase:
    """The notes to be written; where somebody else wrote meanwhile, both texts to decide between (409)."""
    initial = {"notes": writing.noted.notes, "version": writing.noted.notes_version}
    form = NotesForm(request.POST or None, initial=initial)
    if request.method != "POST" or not form.is_valid():
        return _shown(request, writing, form, 422 if form.errors else 200)
    said = form.cleaned_data
    try:
        writing.write(said["notes"], said["version"], person(request))
    except NotesChanged as changed:
        form = NotesForm(initial={"notes": said["notes"], "version": changed.there.notes_version})
        return _shown(request, writing, form, 409, theirs=changed.there)
    except ValidationError as error:
        errors_put(form, error)
        return _shown(request, writing, form, 422)
    return redirect(f"{writing.page}#notes")


def _shown(
    request: HttpRequest, writing: Writing, form: NotesForm, status: int, theirs: Noted | None = None
) -> HttpResponseBase:
    context = {"writing": writing, "form": form, "theirs": theirs}
    return render(request, "training/notes.html", context, status=status)
