"""A job from a document: its names looked up among what the person may see, its rights checked, then made."""

from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.utils.translation import gettext

from training.datasets.selectors import dataset_list
from training.jobs.document import NEEDED
from training.jobs.resume import WEIGHTS, weights_of
from training.jobs.selectors import jobs_visible
from training.jobs.services import job_create, limits_check, priority_checked
from training.jobs.watch_options import WatchOptions
from training.models import Checkpoint, Dataset, Organization, PretrainedWeights, Priority, TrainingJob, User
from training.people.roles import Action, allowed, organizations_where, refusal, require
from training.projects.services import experiment_named
from training.trainers import trainer_get
from training.weights import weights_visible

DEFAULT_EXPERIMENT = "Default"


def job_describe(
    user: User, document: dict[str, Any], organization_id: int | None = None, idempotency_key: str | None = None
) -> TrainingJob:
    """The job that the document asks for, queued.

    Raises ValidationError with a message per key, and PermissionDenied where
    the role is too low; before a project or an experiment is made for nothing.
    """
    errors = {key: gettext("%(key)s is missing.") % {"key": key} for key in NEEDED if not document.get(key)}
    if errors:
        raise ValidationError(errors)
    organization = organization_described(user, document, organization_id)
    require(user, Action.CREATE_JOB, organization)
    manifest = trainer_get(document["trainer"])
    named = bool(manifest.dataset and document.get("dataset"))
    dataset = dataset_described(user, organization, document) if named else None
    manifest.data_clean(dataset)
    pretrained = pretrained_described(user, organization, document)
    weights = weights_described(user, organization, document)
    if pretrained is None and weights is None:
        manifest.model_clean(dataset.task_type if dataset else manifest.tasks[0], document.get("model", ""))
    manifest.config_clean(document["settings"])
    advanced = manifest.advanced_changed(document["settings"])
    if advanced and not allowed(user, Action.USE_ADVANCED_SETTINGS, organization):
        raise PermissionDenied(
            gettext("Your role does not allow you to change %(advanced)s.") % {"advanced": ", ".join(advanced)}
        )
    new_projects = allowed(user, Action.MANAGE_PROJECTS, organization)
    limits = document.get("time_limit_hours"), document.get("memory_limit_gb")
    limits_check(*limits)
    priority = priority_checked(user, organization, Priority[document.get("priority", "normal").upper()])
    names = document["project"], document.get("experiment") or DEFAULT_EXPERIMENT
    return job_create(
        user=user,
        experiment=experiment_named(organization, *names, by=user, new_projects=new_projects),
        trainer=manifest.name,
        model_name=document.get("model", ""),
        weights=pretrained,
        dataset=dataset,
        config=document["settings"],
        name=document.get("name", ""),
        observability_backends=document.get("observability_backends"),
        idempotency_key=idempotency_key,
        weights_from=weights,
        time_limit_hours=limits[0],
        memory_limit_gb=limits[1],
        priority=priority,
        watch=WatchOptions.of(document),
    )


def organization_described(user: User, document: dict[str, Any], organization_id: int | None = None) -> Organization:
    """The organization that the document names, or the only one there is. Raises ValidationError."""
    mine = user.organizations.order_by("name")
    if organization_id is not None:
        mine = mine.filter(pk=organization_id)
    slug = document.get("organization", "")
    if slug:
        found = mine.filter(slug=slug).first()
        if found is None:
            raise ValidationError({"organization": gettext("You belong to no organization %(slug)s.") % {"slug": slug}})
        return found
    able = [one for one in organizations_where(user, Action.CREATE_JOB) if organization_id in (None, one.pk)]
    if len(able) > 1:
        names = ", ".join(one.slug for one in able)
        raise ValidationError(
            {"organization": gettext("Say which organization: you may create jobs in %(names)s.") % {"names": names}}
        )
    if not able:
        raise PermissionDenied(refusal(Action.CREATE_JOB))
    return able[0]


def dataset_described(user: User, organization: Organization, document: dict[str, Any]) -> Dataset:
    """The dataset of that name in the organization. Raises ValidationError."""
    name = document["dataset"]
    found: Dataset | None = dataset_list(user).filter(organization=organization, name=name).first()
    if found is None:
        raise ValidationError(
            {
                "dataset": gettext("There is no dataset %(name)s in %(slug)s.")
                % {"name": name, "slug": organization.slug}
            }
        )
    return found


def pretrained_described(user: User, organization: Organization, document: dict[str, Any]) -> PretrainedWeights | None:
    """The kept weights that the document begins from, if it names some. Raises ValidationError."""
    name = document.get("pretrained", "")
    found: PretrainedWeights | None = weights_visible(user, organization.pk).filter(name=name).first()
    if name and found is None:
        raise ValidationError(
            {
                "pretrained": gettext("There are no weights %(name)s in %(slug)s.")
                % {"name": name, "slug": organization.slug}
            }
        )
    return found if name else None


def weights_described(user: User, organization: Organization, document: dict[str, Any]) -> Checkpoint | None:
    """The checkpoint of the job that the document continues, if it names one. Raises ValidationError."""
    if "parent" not in document:
        return None
    jobs = jobs_visible(user).filter(experiment__project__organization=organization)
    parent = jobs.filter(pk=document["parent"]).first()
    if parent is None:
        raise ValidationError(
            {
                "parent": gettext("There is no job %(parent)s in %(slug)s.")
                % {"parent": document["parent"], "slug": organization.slug}
            }
        )
    kind = document.get("weights", "best")
    found = weights_of(parent, kind) if kind in WEIGHTS else None
    if found is None:
        raise ValidationError(
            {"weights": gettext("Job %(number)s has no %(kind)s checkpoint.") % {"number": parent.pk, "kind": kind}}
        )
    return found
