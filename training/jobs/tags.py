"""Tags of jobs: put on, taken off, and those that there are."""

from collections.abc import Iterable

from django.core.exceptions import ValidationError
from django.utils.translation import gettext

from training.jobs.transition import NotAllowed, job_locked
from training.models import JobTag, TrainingJob, User
from training.people.audit import audit_changes
from training.people.roles import organization_of

MOST = 20  # on one job
LENGTH = 50


def tag_clean(name: str) -> str:
    """`name` as a tag: one line, single spaces. Raises ValidationError for `tag` where it can be none."""
    cleaned = " ".join(name.split())
    if not 0 < len(cleaned) <= LENGTH:
        raise ValidationError({"tag": gettext("A tag has 1 to %(most)s characters.") % {"most": LENGTH}})
    if "," in cleaned or not cleaned.isprintable():
        raise ValidationError({"tag": gettext("A tag has no comma and no control characters.")})
    return cleaned


def tags_clean(text: str) -> list[str]:
    """The tags in a text with commas between them, each once. Raises ValidationError."""
    return list(dict.fromkeys(tag_clean(part) for part in text.split(",") if part.strip()))


def job_tag(job: TrainingJob, names: Iterable[str]) -> list[str]:
    """Put tags on a job; all that it has afterwards. Those that it has stay; raises ValidationError and NotAllowed."""
    wanted = [tag_clean(name) for name in names]
    with job_locked(job.pk) as locked:
        _writable(locked)
        has = set(locked.tags.values_list("name", flat=True))
        return _put(locked, has, has | set(wanted))


def job_untag(job: TrainingJob, names: Iterable[str]) -> list[str]:
    """Take tags off a job; all that it has afterwards. Those that it has not are no error; raises NotAllowed."""
    with job_locked(job.pk) as locked:
        _writable(locked)
        has = set(locked.tags.values_list("name", flat=True))
        return _put(locked, has, has - {" ".join(name.split()) for name in names})


def job_tags_set(job: TrainingJob, names: Iterable[str]) -> list[str]:
    """Give a job exactly these tags. Raises ValidationError and NotAllowed, and changes nothing then."""
    wanted = [tag_clean(name) for name in names]
    with job_locked(job.pk) as locked:
        _writable(locked)
        return _put(locked, set(locked.tags.values_list("name", flat=True)), set(wanted))


def tags_known(user: User, limit: int = 200) -> list[str]:
    """The tags of the jobs that a person may see, by name."""
    tags = JobTag.objects.visible_to(user).order_by("name")
    return list(tags.values_list("name", flat=True).distinct()[:limit])


def _writable(job: TrainingJob) -> None:
    if job.deleted_at is not None:
        raise NotAllowed(gettext("This job has been deleted."))


def _put(job: TrainingJob, has: set[str], wanted: set[str]) -> list[str]:
    """Give the locked job, which has some tags, the wanted ones and no others; they, by name."""
    if len(wanted) > MOST and wanted - has:
        raise ValidationError({"tag": gettext("A job has at most %(most)s tags.") % {"most": MOST}})
    organization_id = organization_of(job)
    job.tags.filter(name__in=has - wanted).delete()
    rows = [JobTag(organization_id=organization_id, job_id=job.pk, name=name) for name in sorted(wanted - has)]
    JobTag.objects.bulk_create(rows, ignore_conflicts=True)
    audit_changes("job.tag", job, {"tags": sorted(has)}, {"tags": sorted(wanted)})
    return sorted(wanted)
