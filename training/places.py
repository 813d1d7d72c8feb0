"""Where people want to go: jobs, datasets, projects and more, found by their names or a job's number."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import F, QuerySet
from django.utils.translation import gettext

from training.jobs.selectors import jobs_visible
from training.models import Dataset, Experiment, JobState, PretrainedWeights, Project, User

EACH = 6  # of each kind: who wants another says more of its name
WORDS = 10


@dataclass(frozen=True, slots=True)
class Place:
    """Something that has a page or a list: `route` names it, `key` fills in the route's one parameter."""

    kind: str
    name: str
    where: str
    route: str
    key: int | None = None


def places_found(user: User | AnonymousUser, words: str) -> list[Place]:
    """What the person may see and whose name has all the words, newest first; without words the newest jobs only."""
    jobs = jobs_visible(user).order_by("-id")
    numbered = _numbered(jobs, words)
    found = [*numbered, *(one for one in _jobs(_named(jobs, words)) if one not in numbered)]
    return [*found, *_others(user, words)] if words.split() else found


def _named(rows: QuerySet[Any], words: str) -> QuerySet[Any]:
    for word in words.split()[:WORDS]:
        rows = rows.filter(name__icontains=word)
    return rows


def _numbered(jobs: QuerySet[Any], words: str) -> list[Place]:
    number = words.strip().removeprefix("#")
    known = number.isascii() and number.isdecimal() and len(number) < 19
    return list(_jobs(jobs.filter(pk=int(number)))) if known else []


def _jobs(jobs: QuerySet[Any]) -> Iterator[Place]:
    at = {"project": F("experiment__project__name"), "within": F("experiment__name")}
    for job in jobs.annotate(**at).values("pk", "name", "state", "project", "within")[:EACH]:
        where = f"#{job['pk']} · {job['project']} / {job['within']} · {JobState(job['state']).label.lower()}"
        yield Place(gettext("Job"), job["name"], where, "job-page", job["pk"])


def _others(user: User | AnonymousUser, words: str) -> Iterator[Place]:
    kinds = (
        (gettext("Dataset"), Dataset, "organization__name", "dataset-page"),
        (gettext("Project"), Project, "organization__name", "project-page"),
        (gettext("Experiment"), Experiment, "project__name", "experiment-page"),
        (gettext("Weights"), PretrainedWeights, "organization__name", "weights-list"),
    )
    for kind, model, parent, route in kinds:
        rows = _named(model.objects.visible_to(user), words).order_by("-pk")
        for pk, name, where in rows.values_list("pk", "name", parent)[:EACH]:
            yield Place(kind, name, where, route, None if route == "weights-list" else pk)
