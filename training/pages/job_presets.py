"""Presets on the page of a new job: which there are, which is chosen; saved, changed, forgotten."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from training.jobs import presets
from training.models import JobPreset
from training.pages.doors import person, signed_in
from training.pages.job_choice import JobChoice
from training.pages.job_form import PREFIX, JobForm
from training.pages.new_job import form_page
from training.people.roles import Action, require
from training.templatetags.text import plain_text

NOT_KEPT = ("csrfmiddlewaretoken", "preset_name", "preset")


@require_POST
@signed_in
def preset_save(request: HttpRequest) -> HttpResponseBase:
    """Keep the form's settings under a new name, and show the form again as it was."""
    choice = JobChoice.read(person(request), request.POST.dict())
    require(choice.user, Action.CREATE_PRESET, choice.organization)
    form = JobForm(choice, request.POST)
    try:
        config, trainer = _settings(form), choice.trainer
        name = plain_text(request.POST.get("preset_name", ""))
        assert trainer is not None
        made = presets.preset_save(choice.organization, trainer.name, choice.task, name, config, choice.user)
    except ValidationError as error:
        return _refused(request, form, error)
    messages.success(request, gettext("The settings are kept as “%(name)s”.") % {"name": plain_text(made.name)})
    return _form_again(request, str(made.pk))


@require_POST
@signed_in
def preset_update(request: HttpRequest, preset_id: int) -> HttpResponseBase:
    """Keep the form's settings under the name of a preset that there is."""
    preset = _preset_for(request, preset_id)
    form = JobForm(JobChoice.read(person(request), request.POST.dict()), request.POST)
    try:
        if form.choice.trainer is None or form.choice.trainer.name != preset.trainer:
            raise ValidationError(
                gettext("The preset is one of the trainer %(trainer)s.") % {"trainer": preset.trainer}
            )
        presets.preset_update(preset, _settings(form))
    except ValidationError as error:
        return _refused(request, form, error)
    messages.success(
        request, gettext("“%(name)s” has the settings of this form now.") % {"name": plain_text(preset.name)}
    )
    return _form_again(request, str(preset.pk))


@require_POST
@signed_in
def preset_delete(request: HttpRequest, preset_id: int) -> HttpResponseBase:
    preset = _preset_for(request, preset_id)
    presets.preset_delete(preset)
    messages.success(request, gettext("The preset “%(name)s” is gone.") % {"name": plain_text(preset.name)})
    return _form_again(request, "")


def _preset_for(request: HttpRequest, preset_id: int) -> JobPreset:
    preset: JobPreset | None = presets.presets_visible(person(request)).filter(pk=preset_id).first()
    if preset is None:
        raise Http404("No such preset.")
    require(person(request), Action.EDIT_PRESET, preset)
    return preset


def _settings(form: JobForm) -> dict[str, Any]:
    """The form's settings, whatever else in it may be missing. Raises ValidationError for wrong ones."""
    form.is_valid()
    wrong = {name: messages for name, messages in form.errors.items() if name.startswith(PREFIX)}
    form.errors.clear()
    if wrong or form.choice.trainer is None:
        raise ValidationError({name.removeprefix(PREFIX): list(texts) for name, texts in wrong.items()})
    return form.config()


def _refused(request: HttpRequest, form: JobForm, error: ValidationError) -> HttpResponseBase:
    form.problems_add(error)
    return form_page(request, form, None, gettext("The preset was not saved."))


def _form_again(request: HttpRequest, preset: str) -> HttpResponseBase:
    """The form with what was typed in it, by an address of its own: a reload sends nothing twice."""
    kept = {name: value for name, value in request.POST.items() if name not in NOT_KEPT}
    return redirect(f"{reverse('job-new')}?{urlencode(kept | {'preset': preset})}")
