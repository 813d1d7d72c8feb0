"""Changes of projects and experiments. The caller has checked the person's right, unless it is said otherwise."""

from collections.abc import Iterable

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from training.datasets.scan import plain
from training.models import Experiment, ExperimentTag, Organization, Project, User
from training.people.audit import audit, audit_changes

NAME_LENGTH = 120
DESCRIPTION_LENGTH = 2000
TAG_LENGTH, TAGS = 40, 20
LENGTHS = {
    "project": gettext_noop("The name of the project needs 1 to %(most)s characters."),
    "experiment": gettext_noop("The name of the experiment needs 1 to %(most)s characters."),
}
UNPRINTABLE = {
    "project": gettext_noop("The name of the project has characters that can't be shown."),
    "experiment": gettext_noop("The name of the experiment has characters that can't be shown."),
}


def project_create(organization: Organization, name: str, description: str = "", *, by: User | None = None) -> Project:
    """A new project, made by `by`. Raises ValidationError with a message per field."""
    said = {"name": name_checked("name", "project", name), "description": _description_checked(description)}
    try:
        with transaction.atomic():
            made = Project.objects.create(organization=organization, created_by=by, **said)
            audit("project.create", made, by=by, new={"name": made.name})
    except IntegrityError as error:
        raise ValidationError(
            {"name": gettext("This organization already has a project called %(name)s.") % said}
        ) from error
    return made


def project_edit(project: Project, name: str, description: str, *, by: User | None = None) -> Project:
    """Give a project another name and description. Raises ValidationError with a message per field."""
    said = {"name": name_checked("name", "project", name), "description": _description_checked(description)}
    try:
        with transaction.atomic():
            locked = Project.objects.select_for_update(no_key=True).get(pk=project.pk)
            old = {"name": locked.name, "description": locked.description}
            locked.name, locked.description = said["name"], said["description"]
            locked.save(update_fields=["name", "description"])
            audit_changes("project.edit", locked, old, said, by=by)
    except IntegrityError as error:
        raise ValidationError(
            {"name": gettext("This organization already has a project called %(name)s.") % said}
        ) from error
    return locked


def project_archive(project: Project, archived: bool, *, by: User | None = None) -> None:
    """Put a project away, or bring it back; a second time changes nothing."""
    _archive("project", project, archived, by)


def experiment_create(project: Project, name: str, tags: Iterable[str] = (), *, by: User | None = None) -> Experiment:
    """A new experiment, made by `by`. Raises ValidationError with a message per field, also in an archived project."""
    name, wanted = name_checked("name", "experiment", name), tags_checked(tags)
    if project.archived_at:
        raise ValidationError({"name": gettext("The project %(name)s is archived.") % {"name": project.name}})
    try:
        with transaction.atomic():
            made = Experiment.objects.create(project=project, name=name, created_by=by)
            _tags_put(made, wanted)
            audit("experiment.create", made, by=by, new={"name": name, "project": project.name})
    except IntegrityError as error:
        raise _experiment_taken(name) from error
    return made


def experiment_edit(experiment: Experiment, name: str, tags: Iterable[str], *, by: User | None = None) -> Experiment:
    """Give an experiment another name and these tags. Raises ValidationError with a message per field."""
    name, wanted = name_checked("name", "experiment", name), tags_checked(tags)
    try:
        with transaction.atomic():
            locked = Experiment.objects.select_for_update(no_key=True).get(pk=experiment.pk)
            old = {"name": locked.name, "tags": sorted(locked.tags.values_list("name", flat=True))}
            locked.name = name
            locked.save(update_fields=["name"])
            _tags_put(locked, wanted)
            audit_changes("experiment.edit", locked, old, {"name": name, "tags": sorted(wanted)}, by=by)
    except IntegrityError as error:
        raise _experiment_taken(name) from error
    return locked


def experiment_archive(experiment: Experiment, archived: bool, *, by: User | None = None) -> None:
    """Put an experiment away, or bring it back; a second time changes nothing."""
    _archive("experiment", experiment, archived, by)


def experiment_named(
    organization: Organization, project: str, experiment: str, *, by: User | None = None, new_projects: bool = True
) -> Experiment:
    """The experiment of these names, made by `by` where it is new; with its project, if `new_projects`.

    Raises ValidationError with a message per field for names that can't be
    kept, for what is archived, and for a project that may not be made.
    """
    names = [name_checked(field, field, name) for field, name in (("project", project), ("experiment", experiment))]
    with transaction.atomic():
        projects = Project.objects.filter(organization=organization, name=names[0])
        if not new_projects and not projects.exists():
            raise ValidationError(
                {
                    "project": gettext("There is no project %(names)s; new ones are made by managers.")
                    % {"names": names[0]}
                }
            )
        makes = {"defaults": {"created_by": by}}
        made, new_project = Project.objects.get_or_create(organization=organization, name=names[0], **makes)
        found, new_experiment = Experiment.objects.get_or_create(project=made, name=names[1], **makes)
        if new_project:
            audit("project.create", made, by=by, new={"name": made.name})
        if new_experiment:
            audit("experiment.create", found, by=by, new={"name": found.name, "project": made.name})
        experiment_open(found)
    return found


def experiment_open(experiment: Experiment) -> None:
    """Raise ValidationError, at the field to change, unless the experiment takes new jobs."""
    if experiment.project.archived_at:
        raise ValidationError(
            {"project": gettext("The project %(name)s is archived.") % {"name": experiment.project.name}}
        )
    if experiment.archived_at:
        raise ValidationError(
            {"experiment": gettext("The experiment %(name)s is archived.") % {"name": experiment.name}}
        )


def name_checked(field: str, noun: str, name: str) -> str:
    """`name` without spaces around it. Raises ValidationError for one that can't be kept and shown."""
    name = name.strip()
    if not 0 < len(name) <= NAME_LENGTH:
        raise ValidationError({field: gettext(LENGTHS[noun]) % {"most": NAME_LENGTH}})
    if plain(name) != name:
        raise ValidationError({field: gettext(UNPRINTABLE[noun])})
    return name


def tags_checked(tags: Iterable[str]) -> list[str]:
    """Each tag once, in order. Raises ValidationError for ones that are too long, too many or can't be shown."""
    words = dict.fromkeys(" ".join(tag.split()) for tag in tags)
    wanted = [word for word in words if word]
    if len(wanted) > TAGS:
        raise ValidationError({"tags": gettext("At most %(most)s tags.") % {"most": TAGS}})
    for tag in wanted:
        if len(tag) > TAG_LENGTH or plain(tag) != tag or "," in tag:
            raise ValidationError(
                {"tags": gettext("A tag has at most %(most)s characters, and none that acts.") % {"most": TAG_LENGTH}}
            )
    return wanted


def _description_checked(text: str) -> str:
    text = text.replace("\r\n", "\n").strip()
    if len(text) > DESCRIPTION_LENGTH or "\x00" in text:
        raise ValidationError({"description": gettext("At most %(most)s characters.") % {"most": DESCRIPTION_LENGTH}})
    return text


def _tags_put(experiment: Experiment, wanted: list[str]) -> None:
    experiment.tags.exclude(name__in=wanted).delete()
    rows = [ExperimentTag(experiment=experiment, name=tag) for tag in wanted]
    ExperimentTag.objects.bulk_create(rows, ignore_conflicts=True)


def _archive(noun: str, what: Project | Experiment, archived: bool, by: User | None) -> None:
    with transaction.atomic():
        rows = type(what).objects.filter(pk=what.pk, archived_at__isnull=archived)
        if rows.update(archived_at=timezone.now() if archived else None):
            audit(f"{noun}.{'archive' if archived else 'restore'}", what, by=by)


def _experiment_taken(name: str) -> ValidationError:
    return ValidationError(
        {"name": gettext("This project already has an experiment called %(name)s.") % {"name": name}}
    )
