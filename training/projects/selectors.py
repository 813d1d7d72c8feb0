"""Reads of projects and experiments for people: only what their organizations own."""

from django.contrib.auth.models import AnonymousUser
from django.db.models import Count, Exists, F, Max, OuterRef, Q

from training.jobs.progress import ACTIVE
from training.jobs.selectors import jobs_visible
from training.models import Experiment, ExperimentTag, JobState, Project, Star, TrainingJob, User
from training.models.visibility import OrganizationQuerySet

KEPT = Q(experiments__jobs__deleted_at=None, experiments__jobs__archived_at=None)
RUNNING_OR_WAITING = [*ACTIVE, JobState.QUEUED]
TAGS_SHOWN = 100


def projects_visible(user: User | AnonymousUser, organization_id: int | None = None) -> OrganizationQuerySet:
    """The projects that a person may see, newest first; of one organization only, if it is told."""
    projects: OrganizationQuerySet = Project.objects.visible_to(user, organization_id)
    return projects.select_related("organization").order_by("-id")


def experiments_visible(user: User | AnonymousUser, organization_id: int | None = None) -> OrganizationQuerySet:
    """The experiments that a person may see, newest first; of one organization only, if it is told."""
    experiments: OrganizationQuerySet = Experiment.objects.visible_to(user, organization_id)
    return experiments.select_related("project").order_by("-id")


def project_list(user: User | AnonymousUser, archived: bool | None = None) -> OrganizationQuerySet:
    """The projects that `user` may see with what is in them, those with the newest jobs first.

    Only those that are `archived`, or that are not, if it is told.
    """
    rows = projects_visible(user)
    if archived is not None:
        rows = rows.filter(archived_at__isnull=not archived)
    counted = rows.annotate(
        experiment_count=Count("experiments", distinct=True),
        job_count=Count("experiments__jobs", filter=KEPT, distinct=True),
        active_count=Count("experiments__jobs", filter=_active("experiments__jobs__"), distinct=True),
        newest_job=Max("experiments__jobs__created_at", filter=KEPT),
    )
    return counted.order_by(F("newest_job").desc(nulls_last=True), "name", "id")


def project_experiments(
    project: Project, user: User | AnonymousUser, archived: bool = False, tag: str = ""
) -> OrganizationQuerySet:
    """A project's experiments with their tags and what is in them: the person's starred first, then the newest jobs."""
    rows = experiments_visible(user).filter(project=project, archived_at__isnull=not archived)
    if tag:
        rows = rows.filter(tags__name=tag)
    kept = Q(jobs__deleted_at=None, jobs__archived_at=None)
    counted = rows.annotate(
        starred=Exists(Star.objects.filter(experiment=OuterRef("pk"), user__pk=user.pk or 0)),
        job_count=Count("jobs", filter=kept, distinct=True),
        active_count=Count("jobs", filter=_active("jobs__"), distinct=True),
        newest_job=Max("jobs__created_at", filter=kept),
    ).prefetch_related("tags")
    return counted.order_by("-starred", F("newest_job").desc(nulls_last=True), "name", "id")


def project_tags(project: Project) -> list[str]:
    """The tags in use on a project's experiments, by name."""
    tags = ExperimentTag.objects.filter(experiment__project=project).order_by("name")
    return list(tags.values_list("name", flat=True).distinct()[:TAGS_SHOWN])


def experiment_find(user: User | AnonymousUser, experiment_id: int) -> Experiment | None:
    """One experiment with its tags, if the person may see it."""
    rows = experiments_visible(user).select_related("project__organization", "notes_by", "created_by")
    found: Experiment | None = rows.prefetch_related("tags").filter(pk=experiment_id).first()
    return found


def experiments_starred(user: User, limit: int) -> list[Experiment]:
    """The experiments that a person has starred and still sees, those starred last first."""
    rows = experiments_visible(user).filter(stars__user=user, archived_at=None)
    return list(rows.order_by("-stars__created_at", "-id")[:limit])


def jobs_starred(user: User, limit: int) -> list[TrainingJob]:
    """The jobs that a person has starred and still sees, those starred last first; no archived ones."""
    rows = jobs_visible(user).filter(stars__user=user, archived_at=None)
    return list(rows.order_by("-stars__created_at", "-id")[:limit])


def _active(path: str) -> Q:
    return Q(**{f"{path}state__in": RUNNING_OR_WAITING})
