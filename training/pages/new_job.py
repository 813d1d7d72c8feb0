"""The page on which a job is made, from nothing, from another job, or from another job's weights."""

import hashlib
import json
from typing import Any
from uuid import uuid4

from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from training.jobs import services
from training.jobs.document import document_write
from training.jobs.resume import WEIGHTS, weights_continuable, weights_of
from training.jobs.selectors import jobs_visible
from training.models import Checkpoint, Experiment, Project, TrainingJob, User
from training.pages.doors import job_or_404, person, signed_in
from training.pages.job_choice import JobChoice
from training.pages.job_command import command_line, curl_line, document_of
from training.pages.job_form import JobForm, backends_initial, settings_initial
from training.pages.job_limits import limits_copied, limits_of
from training.pages.job_offers import offer_chosen, offers_of
from training.people.roles import Action, allowed
from training.projects.services import experiment_named
from training.templatetags.text import plain_text

LISTED = 200  # names that a browser is offered while one types


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def job_new(request: HttpRequest) -> HttpResponseBase:
    """The form, filled from the address; a POST makes the job, or shows what is wrong at each field."""
    if request.method == "POST":
        return _job_make(request)
    given: dict[str, str] = {name: str(value) for name, value in request.GET.items()}
    source = _source(request, given.get("from", ""))
    copied = (_copied(source) | _continued(source, given.get("continue", ""))) if source else {}
    choice = JobChoice.read(person(request), copied | given)
    initial = _suggested(choice) | copied | given | {"key": given.get("key") or uuid4().hex}
    preset = offer_chosen(offers_of(choice), given.get("preset", "")) if "apply" in given else None
    config = preset.config if preset else source.config if source else {}
    initial |= settings_initial(choice, {} if preset else given, config)
    told = source.observability_backends if source and not hasattr(source, "imported") else None
    initial |= backends_initial("key" in given, given, told)
    ticked = "stop_at_nan" in given if "key" in given else bool(copied.get("stop_at_nan"))
    initial |= {"stop_at_nan": "on" if ticked else ""}
    initial |= _chosen(choice) | _model_chosen(choice, initial.get("weights") or initial.get("model", ""))
    return form_page(request, JobForm(choice, initial=initial), source)


def _job_make(request: HttpRequest) -> HttpResponseBase:
    choice = JobChoice.read(person(request), request.POST.dict())
    form, source = JobForm(choice, request.POST), _source(request, request.POST.get("from", ""))
    if form.is_valid():
        try:
            return redirect("job-page", job_id=_job_create(form, source).pk)
        except ValidationError as error:
            form.problems_add(error)
    return form_page(request, form, source)


def _job_create(form: JobForm, source: TrainingJob | None) -> TrainingJob:
    """The job that the form asks for. Raises ValidationError, before a project is made for nothing."""
    choice, said = form.choice, form.cleaned_data
    assert choice.trainer is not None
    choice.trainer.data_clean(choice.data)
    pretrained, continued = form.kept_weights(), _weights(choice.user, said["checkpoint"])
    if pretrained is None and continued is None:
        choice.trainer.model_clean(choice.task, form.model_name())
    choice.trainer.config_clean(form.config())
    limits = limits_of(said)
    services.limits_check(limits["time_limit_hours"], limits["memory_limit_gb"])
    new_projects = allowed(choice.user, Action.MANAGE_PROJECTS, choice.organization)
    names = said["project"], said["experiment"]
    return services.job_create(
        user=choice.user,
        experiment=experiment_named(choice.organization, *names, by=choice.user, new_projects=new_projects),
        trainer=choice.trainer.name,
        model_name=form.model_name(),
        dataset=choice.data,
        weights=pretrained,
        config=form.config(),
        name=said["name"],
        observability_backends=form.backends_chosen(),
        parent=source,
        idempotency_key=_idempotency_key(said),
        weights_from=continued,
        **limits,
        watch=form.watch(),
    )


def _idempotency_key(said: dict[str, Any]) -> str | None:
    """The form's key with its content: sent twice it is one job, changed after "back" it is another."""
    if not said["key"]:
        return None
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


def form_page(request: HttpRequest, form: JobForm, source: TrainingJob | None, refused: str = "") -> HttpResponseBase:
    """The page of the form; `refused` is said above what is wrong in it."""
    projects = Project.objects.filter(organization=form.choice.organization, archived_at=None).order_by("name")
    named = plain_text(str(form["project"].value() or ""))
    experiments = Experiment.objects.filter(project__in=projects, project__name=named, archived_at=None)
    weights = _weights(form.choice.user, str(form["checkpoint"].value() or ""))
    document, offers = document_of(form, weights), offers_of(form.choice)
    context = {
        "refused": refused or gettext("The job was not created."),
        "document": document_write(document),
        "curl": curl_line(document),
        "same": request.GET.get("same") or request.POST.get("same") or "command",
        "offers": offers,
        "offer": offer_chosen(offers, str(form["preset"].value() or "")),
        "preset_errors": form.preset_errors,
        "preset_name": plain_text(request.POST.get("preset_name", "")),
        "differs": form.mark_differences(source.config) if source else [],
        "form": form,
        "choice": form.choice,
        "command": command_line(form, weights),
        "source": source,
        "weights": weights,
        "projects": projects.values_list("name", flat=True)[:LISTED],
        "experiments": experiments.order_by("name").values_list("name", flat=True)[:LISTED],
    }
    template = "_job_form.html" if request.headers.get("HX-Request") else "new_job.html"
    return render(request, f"training/{template}", context, status=422 if form.errors or form.preset_errors else 200)


def _source(request: HttpRequest, number: str) -> TrainingJob | None:
    """The job to copy, if the address names one."""
    if not number:
        return None
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        raise Http404("No such job.")
    return job_or_404(request, int(number))


def _copied(job: TrainingJob) -> dict[str, str]:
    """A job as the form's values; its settings come apart from them."""
    dataset = {"dataset": str(job.dataset_id)} if job.dataset_id else {}
    return (
        dataset
        | limits_copied(job)
        | {
            "organization": str(job.experiment.project.organization_id),
            "project": job.experiment.project.name,
            "experiment": job.experiment.name,
            "trainer": job.trainer,
            "model": "" if job.weights_id else job.model_name,
            "pretrained": str(job.weights_id or ""),
            "name": f"{job.name[:193]} (copy)",
            "stop_at_nan": "on" if job.stop_at_nan else "",
            "patience": str(job.patience or ""),
            "watched_metrics": job.watched_metrics,
        }
    )


def _continued(job: TrainingJob, kind: str) -> dict[str, str]:
    """What makes the copy start from the job's weights, where the address asks for that."""
    weights = weights_of(job, kind) if kind in WEIGHTS and weights_continuable(job) else None
    if weights is None:
        return {}
    return {"checkpoint": str(weights.pk), "pretrained": "", "name": f"{job.name[:188]} (continued)"}


def _weights(user: User, number: str) -> Checkpoint | None:
    """The checkpoint that the form names, among those of jobs that the person may see."""
    if not number:
        return None
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        raise Http404("No such checkpoint.")
    visible = Checkpoint.objects.filter(pk=int(number), job__in=jobs_visible(user))
    found = visible.select_related("job__experiment__project").first()
    if found is None:
        raise Http404("No such checkpoint.")
    return found


def _suggested(choice: JobChoice) -> dict[str, str]:
    """Where the person's last job in this organization was."""
    own = TrainingJob.objects.filter(created_by=choice.user, experiment__project__organization=choice.organization)
    last = own.filter(imported=None).select_related("experiment__project").order_by("-id").first()
    if last is None:
        return {"project": "", "experiment": "Default"}
    return {"project": last.experiment.project.name, "experiment": last.experiment.name}


def rendered_from(request: HttpRequest, choice: JobChoice, data: dict[str, str]) -> JobForm:
    """The form with values that somebody wrote elsewhere, such as in a document, and what is wrong with them."""
    key = {"key": uuid4().hex}
    form = JobForm(choice, _suggested(choice) | _settings_of(choice) | data | key)
    if form.is_valid() and choice.trainer:
        try:
            if form.kept_weights() is None and not data.get("checkpoint"):
                choice.trainer.model_clean(choice.task, form.model_name())
            choice.trainer.config_clean(form.config())
        except ValidationError as error:
            form.problems_add(error)
    return form


def _settings_of(choice: JobChoice) -> dict[str, Any]:
    """The defaults, as a browser would send them: a box that is not ticked is left out."""
    initial = settings_initial(choice, {}, {})
    return {name: value for name, value in initial.items() if value is not False}


def _chosen(choice: JobChoice) -> dict[str, Any]:
    """What is chosen now, in place of what a request named and there is not."""
    chosen: dict[str, Any] = {"organization": choice.organization.pk}
    if choice.dataset:
        chosen["dataset"] = choice.dataset.pk
    if choice.trainer:
        chosen |= {"trainer": choice.trainer.name, "settings_of": choice.trainer.name}
    return chosen


def _model_chosen(choice: JobChoice, model: str) -> dict[str, str]:
    """The model that was named, as one of the list or as a file; else the first that the trainer offers."""
    if choice.models and model not in choice.models:
        weights = model if model.endswith(".pt") else ""
        return {"model": choice.models[0], "weights": weights}
    return {"model": model, "weights": ""}
