"""Stars: each person's own, on experiments and jobs."""

from typing import Any

from training.models import Experiment, Star, TrainingJob, User

Starred = Experiment | TrainingJob


def star_set(user: User, what: Starred, starred: bool) -> None:
    """Give it the person's star, or take it away; a second time changes nothing. The caller has checked who sees it."""
    if starred:
        Star.objects.get_or_create(user=user, **_on(what))
    else:
        Star.objects.filter(user=user, **_on(what)).delete()


def star_given(user: User, what: Starred) -> bool:
    """Whether the person has starred it."""
    return Star.objects.filter(user=user, **_on(what)).exists()


def jobs_starred(user: User, jobs: list[TrainingJob]) -> set[int]:
    """The ids of those of these jobs that the person has starred."""
    return set(Star.objects.filter(user=user, job__in=jobs).values_list("job_id", flat=True))


def _on(what: Starred) -> dict[str, Any]:
    return {"experiment" if isinstance(what, Experiment) else "job": what}
