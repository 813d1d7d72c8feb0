"""The page on which a job begins with a document: pasted or uploaded YAML fills the form, with errors at each field."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from training.jobs.described import (
    dataset_described,
    organization_described,
    pretrained_described,
    weights_described,
)
from training.jobs.document import MAX_LENGTH, document_read
from training.pages.doors import person, signed_in
from training.pages.job_choice import JobChoice
from training.pages.job_form import BACKEND, PREFIX, backends_offered
from training.pages.job_limits import NAMES as LIMITS
from training.pages.new_job import form_page, rendered_from
from training.people.roles import Action, require

OWN = ("project", "experiment", "name", "trainer", "model")  # said as the form says them
WHOLE = ("yaml", "settings")


class DocumentForm(forms.Form):
    """A document as text or as a file."""

    use_required_attribute = False
    yaml = forms.CharField(
        required=False,
        strip=False,
        max_length=MAX_LENGTH,
        label="YAML",
        widget=forms.Textarea({"rows": 18, "class": "mono", "spellcheck": "false"}),
    )
    file = forms.FileField(required=False, label=_("Or a file"), max_length=200)

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        file = said.get("file")
        if file is not None:
            if file.size > MAX_LENGTH:
                raise ValidationError({"file": gettext("At most %(most)s KiB.") % {"most": MAX_LENGTH // 1024}})
            try:
                said["yaml"] = file.read().decode("utf-8-sig")
            except UnicodeDecodeError as error:
                raise ValidationError({"file": gettext("This is not a text in UTF-8.")}) from error
        if not str(said.get("yaml", "")).strip() and not self.errors:
            raise ValidationError({"yaml": gettext("Paste a document, or choose a file.")})
        return said


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def job_new_yaml(request: HttpRequest) -> HttpResponseBase:
    """A place for the document; a POST shows the form that it fills, and starts nothing."""
    JobChoice.read(person(request), {})  # who may make no jobs is told so here
    form = DocumentForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        try:
            return _filled(request, document_read(form.cleaned_data["yaml"]))
        except ValidationError as error:
            for name, texts in error.message_dict.items():
                form.add_error("yaml", [text if name in WHOLE else f"{name}: {text}" for text in texts])
    return render(request, "training/new_job_yaml.html", {"form": form}, status=422 if form.errors else 200)


def _filled(request: HttpRequest, document: dict[str, Any]) -> HttpResponseBase:
    """The form of a new job with all that the document says, right or wrong."""
    user = person(request)
    problems: dict[str, list[str]] = {}
    data: dict[str, str] = {name: document[name] for name in OWN if name in document}
    organization = organization_described(user, document)
    require(user, Action.CREATE_JOB, organization)
    data["organization"] = str(organization.pk)
    try:
        if document.get("dataset"):
            data["dataset"] = str(dataset_described(user, organization, document).pk)
    except ValidationError as error:
        problems |= error.message_dict
        data["dataset"] = ""
    try:
        weights = weights_described(user, organization, document)
        data |= {"checkpoint": str(weights.pk)} if weights else {}
    except ValidationError as error:
        problems |= error.message_dict
    try:
        pretrained = pretrained_described(user, organization, document)
        data |= {"pretrained": str(pretrained.pk)} if pretrained else {}
    except ValidationError as error:
        problems |= error.message_dict
    data |= {name: str(document[name]) for name in LIMITS if name in document}
    data |= {name: str(document[name]) for name in ("patience", "watched_metrics") if name in document}
    data |= {"stop_at_nan": "on"} if document.get("stop_at_nan") else {}
    data |= _backends(document, problems)
    choice = JobChoice.read(user, data)
    data |= {"settings_of": choice.trainer.name if choice.trainer else ""} | _model(choice, data.get("model", ""))
    form = rendered_from(request, choice, data | _settings(choice, document["settings"]))
    for name, value in document["settings"].items():
        if PREFIX + name not in form.fields:
            problems[name] = [_unknown(choice, name, value)]
    if choice.trainer and data.get("trainer") not in (None, choice.trainer.name):
        problems["trainer"] = [gettext("There is no trainer %(trainer)s.") % {"trainer": data["trainer"]}]
    if problems:
        form.problems_add(ValidationError(problems))
    return form_page(request, form, None, gettext("The document does not make a job as it is."))


def _backends(document: dict[str, Any], problems: dict[str, list[str]]) -> dict[str, str]:
    """The ticked boxes of the backends that hear of the job: those that are named, or all."""
    offered = backends_offered()
    named = document.get("observability_backends", offered)
    unknown = sorted(set(named) - {"database", *offered})
    if unknown:
        problems["observability_backends"] = [gettext("%(unknown)s: not configured.") % {"unknown": ", ".join(unknown)}]
    return {BACKEND + name: "on" for name in offered if name in named}


def _settings(choice: JobChoice, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings as a browser would send them."""
    known = {one.name: one for one in choice.trainer.settings} if choice.trainer else {}
    booleans = {PREFIX + name for name, one in known.items() if one.type == "boolean"}
    sent = {PREFIX + name: value if isinstance(value, str) else _sent(value) for name, value in settings.items()}
    return {name: ("on" if value == "true" else "") if name in booleans else value for name, value in sent.items()}


def _sent(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _unknown(choice: JobChoice, name: str, value: Any) -> str:
    advanced = {one.name for one in choice.trainer.settings} if choice.trainer else set()
    if name in advanced:
        return gettext("%(name)s: to change it takes the role of an advanced engineer.") % {"name": name}
    return gettext("%(name)s is not a setting of this trainer.") % {"name": name}


def _model(choice: JobChoice, model: str) -> dict[str, str]:
    """A model of the list, or a file of weights."""
    if choice.models and choice.trainer and choice.trainer.weights and model not in choice.models and model:
        return {"model": choice.models[0], "weights": model}
    return {"model": model}
